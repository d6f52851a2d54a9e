//! The example of the articles, staged on one node: its applications run in pods, and its folder is ready for `axonctl up`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Dual, Error, Folder, Lab, Layout, Namespace, Node, Process, Result, address, manifest::endpoint_slices, wait_until,
};

/// Where the manifests are.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/article");

/// The services of the example: namespace, name, name and number of the port, text that the backends answer.
const SERVICES: [(&str, &str, &str, u16, &str); 4] = [
    ("default", "foo-app", "", 5678, "foo"),
    ("default", "bar-app", "", 5678, "bar"),
    ("cilium-test", "echo-same-node", "http", 8080, "echo-same-node"),
    ("cilium-test", "echo-other-node", "http", 8080, "echo-other-node"),
];

/// The lab of the example.
#[derive(Debug)]
pub struct Article {
    // The order of the fields is the order of the end: the lab last.
    /// The backends, by pod.
    pub backends: BTreeMap<String, Backend>,
    /// A pod that asks.
    pub client: Namespace,
    /// A host outside, with routes to the load balancer addresses by way of the node.
    pub outside: Namespace,
    /// The node.
    pub node: Node,
    folder: Folder,
    echo: PathBuf,
    /// The lab of them all.
    pub lab: Lab,
}

/// A pod with a server in it.
#[derive(Debug)]
pub struct Backend {
    /// The server.
    pub server: Process,
    /// The pod.
    pub pod: Namespace,
}

impl Article {
    /// Builds the lab, starts the servers (`echo`: the program `axoneme-echo`) and waits for them, and fills the folder.
    ///
    /// # Errors
    /// If one of it fails.
    pub fn stage(name: &str, layout: Layout, echo: &Path) -> Result<Self> {
        let mut lab = Lab::new(name)?;
        let mut node = lab.node("node1", layout)?;
        let client = node.pod("client2")?;
        let outside = lab.client("outside")?;
        Lab::route(&outside, address::BALANCERS_V4, &node)?;
        Lab::route(&outside, address::BALANCERS_V6, &node)?;
        let folder = Folder::new()?;
        let mut stage = Self { backends: BTreeMap::new(), client, outside, node, folder, echo: echo.to_owned(), lab };
        for (_, service, _, port, text) in SERVICES {
            stage.start(service, port, text, &[])?;
        }
        for file in ["apps.yaml", "cec.yaml", "ingress.yaml"] {
            let from = Path::new(EXAMPLE).join(file);
            let text = fs::read_to_string(&from).map_err(Error::io(format!("read {}", from.display())))?;
            stage.write(file, &text)?;
        }
        for (_, service, ..) in SERVICES {
            stage.publish(service, &[service])?;
        }
        Ok(stage)
    }

    /// The folder of manifests, for `axonctl up`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a server in a new pod and waits until it listens.
    ///
    /// # Errors
    /// If it cannot run.
    pub fn start(&mut self, name: &str, port: u16, text: &str, more: &[&str]) -> Result<()> {
        let pod = self.node.pod(name)?;
        let server = self.serve(&pod, port, text, more)?;
        self.backends.insert(name.to_owned(), Backend { server, pod });
        Ok(())
    }

    /// Starts another server in a pod, in place of the one that is there.
    ///
    /// # Errors
    /// If the pod is not there or the server cannot run.
    pub fn restart(&mut self, name: &str, port: u16, text: &str, more: &[&str]) -> Result<()> {
        // Its end frees the port.
        let Backend { pod, .. } = self.backends.remove(name).ok_or_else(|| unknown("pod", name))?;
        let server = self.serve(&pod, port, text, more)?;
        self.backends.insert(name.to_owned(), Backend { server, pod });
        Ok(())
    }

    fn serve(&self, pod: &Namespace, port: u16, text: &str, more: &[&str]) -> Result<Process> {
        let listen = format!(":{port}");
        let server = pod.spawn(&self.echo, ["--listen", &listen, "--text", text].iter().chain(more))?;
        wait_until(&format!("the server in pod {}", pod.name), Duration::from_secs(20), || {
            Ok(server.log()?.contains("listens"))
        })?;
        Ok(server)
    }

    /// Writes who is behind a service of the example: these pods.
    ///
    /// # Errors
    /// If the service is none of the example, a pod is not there, or the file cannot be written.
    pub fn publish(&self, service: &str, pods: &[&str]) -> Result<()> {
        let known = SERVICES.iter().find(|(_, name, ..)| *name == service);
        let (namespace, _, port_name, port, _) = known.ok_or_else(|| unknown("service", service))?;
        let address =
            |pod: &&str| self.backends.get(*pod).map(|backend| backend.pod.address).ok_or_else(|| unknown("pod", pod));
        let addresses: Vec<Dual> = pods.iter().map(address).collect::<Result<_>>()?;
        let slices = endpoint_slices(namespace, service, port_name, *port, &addresses);
        self.write(&format!("backends-{service}.yaml"), &slices)
    }

    /// [`Folder::write`] of the folder.
    ///
    /// # Errors
    /// Those of it.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        self.folder.write(file, text)
    }

    /// [`Folder::edit`] of the folder.
    ///
    /// # Errors
    /// Those of it.
    pub fn edit(&self, file: &str, old: &str, new: &str) -> Result<()> {
        self.folder.edit(file, old, new)
    }

    /// [`Folder::delete`] of the folder.
    ///
    /// # Errors
    /// Those of it.
    pub fn delete(&self, file: &str) -> Result<()> {
        self.folder.delete(file)
    }
}

fn unknown(what: &'static str, name: &str) -> Error {
    Error::Name { what, name: name.to_owned(), why: "it is not there" }
}
