//! The stage of these tests: a node, the Services `web` and `api` of namespace `shop` with a pod each, and a client outside.

use std::{fs, net::SocketAddr, path::PathBuf, sync::LazyLock, time::Duration};

use axoneme_testnet::{
    Folder, Lab, Layout, Namespace, Node, Process, address, built, envoy,
    manifest::endpoint_slices,
    mesh::Mesh,
    mesh::{Programs, Status},
    wait_until,
};
use tempfile::TempDir;

use crate::curl::{Answer, Curl};

/// How long a start may take, Envoy's included, on a busy machine.
const START: Duration = Duration::from_secs(30);
/// How long an edit may take on a busy machine. Usually it is some milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// Built once.
static ECHO: LazyLock<PathBuf> = LazyLock::new(|| built("axoneme-echo").unwrap());
static BACKEND: LazyLock<PathBuf> = LazyLock::new(|| built("axoneme-backend").unwrap());

/// Where the pods listen.
pub(crate) const PORT: u16 = 8080;

pub(crate) struct Scene {
    // The order of the fields is the order of the end: the lab last.
    mesh: Mesh,
    servers: Vec<Process>,
    pub(crate) pods: Vec<Namespace>,
    pub(crate) outside: Namespace,
    folder: Folder,
    _run_dir: TempDir,
    node: Node,
    _lab: Lab,
}

impl Scene {
    /// Stages the Services beside these manifests, and waits until the first Ingress of each name is served.
    pub(crate) fn start(name: &str, ingresses: &[&str], manifests: &str) -> Self {
        Self::start_with(name, ingresses, manifests, &[])
    }

    /// The same with `flags` of `axonctl up`.
    pub(crate) fn start_with(name: &str, ingresses: &[&str], manifests: &str, flags: &[&str]) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut node = lab.node("node1", Layout::Routed).unwrap();
        let outside = lab.client("outside").unwrap();
        Lab::route(&outside, address::BALANCERS_V4, &node).unwrap();
        Lab::route(&outside, address::BALANCERS_V6, &node).unwrap();
        let folder = Folder::new().unwrap();
        let (mut servers, mut pods) = (Vec::new(), Vec::new());
        for service in ["web", "api"] {
            let pod = node.pod(service).unwrap();
            let server = pod.spawn(&*ECHO, ["--listen", &format!(":{PORT}"), "--text", service]).unwrap();
            wait_until("a server", START, || Ok(server.log()?.contains("listens"))).unwrap();
            let slices = endpoint_slices("shop", service, "", PORT, &[pod.address]);
            folder.write(&format!("{service}.yaml"), &format!("{}{slices}", service_yaml(service, ""))).unwrap();
            servers.push(server);
            pods.push(pod);
        }
        folder.write("ingress.yaml", manifests).unwrap();
        let programs = Programs { axonctl: env!("CARGO_BIN_EXE_axonctl").into(), envoy: envoy().unwrap() };
        let run_dir = tempfile::tempdir().unwrap();
        let mesh = Mesh::up_with(&node, &programs, folder.path(), run_dir.path(), flags).unwrap();
        let mut scene = Self { mesh, servers, pods, outside, folder, _run_dir: run_dir, node, _lab: lab };
        let names: Vec<_> = ingresses.iter().map(|ingress| format!("shop/cilium-ingress-{ingress}:80")).collect();
        let all = |status: &Status| names.iter().all(|name| status.port(name).is_some());
        scene.mesh.wait_for(&format!("{names:?} to be served"), START, all).unwrap();
        scene
    }

    /// Another Service of namespace `shop`, with a pod of its own in which `axoneme-backend` answers: in HTTP/1.1 and HTTP/2,
    /// gRPC, websockets, and bodies of any length.
    pub(crate) fn publish_backend(&mut self, service: &str) {
        let pod = self.node.pod(service).unwrap();
        let server = pod.spawn(&*BACKEND, ["--name", service]).unwrap();
        wait_until("a backend", START, || Ok(server.log()?.contains("listens"))).unwrap();
        self.servers.push(server);
        self.publish(service, "", &pod, PORT);
        self.pods.push(pod);
    }

    /// Another Service of namespace `shop`, with a pod's address behind it.
    pub(crate) fn publish(&self, service: &str, port_fields: &str, pod: &Namespace, port: u16) {
        let slices = endpoint_slices("shop", service, "", port, &[pod.address]);
        self.write(&format!("{service}.yaml"), &format!("{}{slices}", service_yaml(service, port_fields)));
    }

    /// A Service whose port has a name.
    pub(crate) fn publish_named(&self, service: &str, port: &str, pod: &Namespace) {
        let slices = endpoint_slices("shop", service, port, PORT, &[pod.address]);
        let text = service_yaml(service, &format!(", name: {port}"));
        self.write(&format!("{service}.yaml"), &format!("{text}{slices}"));
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        self.folder.write(file, text).unwrap();
    }

    pub(crate) fn delete(&self, file: &str) {
        self.folder.delete(file).unwrap();
    }

    /// The load balancer address of an Ingress, with a port.
    pub(crate) fn at(&self, ingress: &str, port: u16) -> SocketAddr {
        let status = self.mesh.status().unwrap();
        let name = format!("shop/cilium-ingress-{ingress}:{port}");
        balancers(&status, &name).unwrap_or_else(|| panic!("{name} has no such address: {status:#?}"))[0]
    }

    /// The load balancer address of shared Ingresses, with a port, as soon as it is served.
    pub(crate) fn shared_at(&self, port: u16) -> SocketAddr {
        self.served_at(&format!("axoneme/cilium-ingress:{port}"))
    }

    /// That of an Ingress that is about to have one.
    pub(crate) fn soon_at(&self, ingress: &str, port: u16) -> SocketAddr {
        self.served_at(&format!("shop/cilium-ingress-{ingress}:{port}"))
    }

    fn served_at(&self, redirect: &str) -> SocketAddr {
        self.balancers_of(redirect)[0]
    }

    /// The load balancer addresses of a redirect, IPv4 and IPv6, as soon as they are served.
    pub(crate) fn balancers_of(&self, redirect: &str) -> [SocketAddr; 2] {
        let mut found = None;
        let waited = wait_until(&format!("the addresses of {redirect}"), START, || {
            // Served is what has a listener, too.
            let status = self.mesh.status()?;
            found = status.port(redirect).and_then(|_| balancers(&status, redirect));
            Ok(found.is_some())
        });
        waited.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        found.unwrap()
    }

    /// The node itself.
    pub(crate) fn node(&self) -> &Namespace {
        &self.node
    }

    /// Asks Ingress `web` for `url` from outside.
    pub(crate) fn curl(&self, url: &str) -> Curl {
        let port = if url.starts_with("https:") { 443 } else { 80 };
        Curl::new(url, SocketAddr::new(self.at("web", 80).ip(), port))
    }

    pub(crate) fn get(&self, url: &str) -> Answer {
        self.curl(url).ask(&self.outside)
    }

    /// Asks for all of these on one connection, and tells of each answer its status and one of its headers.
    pub(crate) fn get_all(&self, urls: &[String], header: &str) -> Vec<(u16, String)> {
        let write_out = format!("\n@@ %{{http_code}} %header{{{header}}}\n");
        let more = ["--write-out", &write_out];
        let urls = urls.iter().map(String::as_str);
        let printed = self.curl("http:").run(&self.outside, more.into_iter().chain(urls)).1;
        let answer = |line: &str| {
            let (status, header) = line.strip_prefix("@@ ")?.split_once(' ')?;
            Some((status.parse().ok()?, header.to_owned()))
        };
        printed.lines().filter_map(answer).collect()
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until(&self, curl: &Curl, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = Answer::default();
        let waited = wait_until("the answer", SOON, || {
            last = curl.ask(&self.outside);
            Ok(wanted(&last))
        });
        assert!(waited.is_ok(), "{curl:?} still answers {last:?}\n{}", self.log());
        last
    }

    /// Where the mesh's sockets are.
    pub(crate) fn run_dir(&self) -> &std::path::Path {
        self.mesh.run_dir()
    }

    /// Waits until it is so.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let waited = wait_until(what, SOON, || Ok(is_so()));
        assert!(waited.is_ok(), "not yet: {what}\n{}", self.log());
    }

    /// Waits until axonctl has said all of these words in one line.
    pub(crate) fn says(&self, words: &[&str]) {
        let said = |line: &str| words.iter().all(|word| line.contains(word));
        let waited = wait_until("words", SOON, || Ok(self.log().lines().any(said)));
        assert!(waited.is_ok(), "no line with {words:?} in\n{}", self.log());
    }

    /// How many listeners Envoy drains, with all of their connections. It takes half a minute over each.
    pub(crate) fn draining_listeners(&self) -> u64 {
        let socket = self.mesh.run_dir().join("admin.sock");
        let url = "http://envoy/stats?filter=total_listeners_draining";
        let told = self.node.run("curl", ["--silent", "--unix-socket", socket.to_str().unwrap(), url]).unwrap();
        let count = told.trim().rsplit(' ').next().and_then(|count| count.parse().ok());
        count.unwrap_or_else(|| panic!("Envoy says {told:?}"))
    }

    /// The memory of Envoy that is resident, in bytes.
    pub(crate) fn envoy_memory(&self) -> u64 {
        let processes = fs::read_to_string(self.node.cgroup().join("cgroup.procs")).unwrap();
        let is_envoy = |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "envoy\n");
        let pid = processes.lines().find(is_envoy).unwrap_or_else(|| panic!("no Envoy in {processes:?}"));
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn log(&self) -> String {
        self.mesh.process().log().unwrap()
    }
}

/// The addresses that a load balancer gives to a redirect, IPv4 and IPv6.
fn balancers(status: &Status, redirect: &str) -> Option<[SocketAddr; 2]> {
    let frontends = &status.redirects.get(redirect)?.frontends;
    let of = |v4| frontends.iter().find(|at| at.is_ipv4() == v4 && address::is_balancer(at.ip())).copied();
    Some([of(true)?, of(false)?])
}

fn service_yaml(name: &str, port_fields: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{ports: [{{port: 80, targetPort: \
         8080{port_fields}}}]}}\n---\n"
    )
}

/// An Ingress of namespace `shop`: its annotations, and its spec in one line each.
pub(crate) fn ingress(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, annotations: \
         {{{annotations}}}}}\nspec:\n  ingressClassName: cilium\n  {spec}\n---\n"
    )
}

/// A rule in one line: a host, or none, and its paths.
pub(crate) fn rule(host: &str, paths: &[&str]) -> String {
    let host = if host.is_empty() { String::new() } else { format!("host: {host:?}, ") };
    format!("{{{host}http: {{paths: [{}]}}}}", paths.join(", "))
}

/// A path in one line.
pub(crate) fn path(kind: &str, path: &str, service: &str) -> String {
    format!("{{path: {path:?}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
}
