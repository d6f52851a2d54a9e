//! The one mesh that all cases share: a lab of one node, the pods of the corpus, and `axonctl up` on all of its files.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use axoneme_testnet::{
    Lab, Layout, Namespace, Node, Process, address, envoy,
    mesh::{Mesh, Programs, Status},
    wait_until,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    BACKEND, ask,
    case::Case,
    certificates::Authority,
    client::Tls,
    cluster::{self, Added, Pod},
};

/// How long the start of all of it may take on a busy machine.
const START: Duration = Duration::from_secs(180);
/// How long anything else may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

const AXONCTL: &str = env!("CARGO_BIN_EXE_axonctl");

pub(crate) struct Stage {
    // The order of the fields is the order of the end: the lab last.
    mesh: Mesh,
    _servers: Vec<(Process, Namespace)>,
    pub(crate) client: Namespace,
    pods: Vec<Pod>,
    authority: Authority,
    added: BTreeMap<String, Added>,
    /// What `axonctl validate` finds.
    findings: Vec<Value>,
    /// What was served when all was loaded.
    status: Status,
    folder: TempDir,
    _run_dir: TempDir,
    _node: Node,
    _lab: Lab,
}

impl Stage {
    /// Starts everything and waits until whatever will be asked is served.
    pub(crate) fn new(cases: &[Case]) -> Self {
        let authority = Authority::new();
        let mut lab = Lab::new("corpus").unwrap();
        let mut node = lab.node("node1", Layout::Routed).unwrap();
        let client = node.pod("client").unwrap();
        let mut pods = cluster::pods();
        let servers = serve(&mut node, &mut pods, &authority);
        let added: BTreeMap<_, _> =
            cases.iter().map(|case| (case.name.clone(), cluster::added(case, &pods, &authority))).collect();
        let folder = tempfile::Builder::new().prefix("axoneme-corpus-").tempdir().unwrap();
        for case in cases {
            let [own, more] = files(folder.path(), case);
            fs::write(own, &case.text).unwrap();
            fs::write(more, &added[&case.name].manifests).unwrap();
        }
        let findings = validate(folder.path());
        let run_dir = tempfile::tempdir().unwrap();
        let programs = Programs { axonctl: AXONCTL.into(), envoy: envoy().unwrap() };
        let mut mesh = Mesh::up(&node, &programs, folder.path(), run_dir.path()).unwrap();
        let asks = cases.iter().flat_map(|case| case.said.asks.iter().map(move |it| ask::redirect(case, it)));
        let wanted: Vec<String> = asks.collect();
        // What Envoy refuses is the business of its case alone.
        let refused = |status: &Status, redirect: &str| {
            let namespace = redirect.split('/').next().unwrap();
            status.rejections.keys().any(|name| name.starts_with(&format!("{namespace}/")))
        };
        let all = |status: &Status| {
            wanted.iter().all(|redirect| status.port(redirect).is_some() || refused(status, redirect))
        };
        let status = mesh.wait_for("all valid cases to be served", START, all).unwrap();
        Self {
            mesh,
            _servers: servers,
            client,
            pods,
            authority,
            added,
            findings,
            status,
            folder,
            _run_dir: run_dir,
            _node: node,
            _lab: lab,
        }
    }

    /// The file of a case in the mesh's folder.
    pub(crate) fn file(&self, case: &Case) -> String {
        files(self.folder.path(), case)[0].display().to_string()
    }

    /// What `axonctl validate` finds in the file of a case.
    pub(crate) fn findings(&self, case: &Case) -> impl Iterator<Item = &Value> {
        let file = self.file(case);
        self.findings.iter().filter(move |finding| finding["file"] == file)
    }

    /// What is served now.
    pub(crate) fn status(&self) -> Status {
        self.mesh.status().unwrap()
    }

    /// What `axonctl up` and its Envoy printed.
    pub(crate) fn log(&self) -> String {
        self.mesh.process().log().unwrap()
    }

    /// A Service address of a redirect, if it is served.
    pub(crate) fn address(&self, redirect: &str, ipv6: bool) -> Option<SocketAddr> {
        let frontends = &self.status.redirects.get(redirect)?.frontends;
        frontends.iter().copied().find(|at| at.is_ipv6() == ipv6 && address::is_service(at.ip()))
    }

    /// The web server of a pod, past the mesh.
    pub(crate) fn pod(&self, name: &str) -> SocketAddr {
        let pod = self.pods.iter().find(|pod| pod.name == name).unwrap_or_else(|| panic!("there is no pod {name}"));
        (pod.address.unwrap().v4, 8080).into()
    }

    /// The client's side of TLS, with the certificate of a Secret of the case.
    pub(crate) fn tls(&self, case: &Case, certificate: Option<&str>) -> Tls {
        let own = certificate.map(|name| self.added[&case.name].pairs[name].clone());
        Tls { authority: self.authority.pem.clone(), own }
    }
}

/// One run for all files: it takes a while to be ready.
fn validate(folder: &Path) -> Vec<Value> {
    let output = Command::new(AXONCTL).args(["validate", "-o", "json"]).arg(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "some files are wrong: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files(folder: &Path, case: &Case) -> [PathBuf; 2] {
    let name = case.name.replace('/', "-");
    [folder.join(format!("{name}.yaml")), folder.join(format!("{name}.cluster.yaml"))]
}

/// Starts the backend in every pod and waits until all listen. Their certificate is for `backend.example`.
fn serve(node: &mut Node, pods: &mut [Pod], authority: &Authority) -> Vec<(Process, Namespace)> {
    let program = env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pair = authority.sign(&["backend.example".to_owned()]);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = [
        format!("--certificate={}", file("server.crt", &pair.certificate)),
        format!("--key={}", file("server.key", &pair.key)),
        format!("--clients={}", file("ca.crt", &authority.pem)),
    ];
    let start = |pod: &mut Pod| {
        let place = node.pod(&pod.name).unwrap();
        pod.address = Some(place.address);
        let name = [BACKEND.to_owned(), format!("--name={}", pod.name)];
        let server = place.spawn(&program, name.iter().chain(&certificate)).unwrap();
        (server, place)
    };
    let servers: Vec<_> = pods.iter_mut().map(start).collect();
    for (server, _) in &servers {
        let waited = wait_until("a backend to listen", SOON, || Ok(server.log()?.contains("listens")));
        assert!(waited.is_ok(), "{waited:?}: {}", server.log().unwrap());
    }
    servers
}
