//! One node of a cluster: an operator, a loader and an Envoy, each of which may be killed and started by itself; a pod, a client
//! outside, and one backend.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use axoneme_node::status::{self, Status};
use axoneme_operator::ca::Authority;
use axoneme_testnet::{Folder, Lab, Layout, Namespace, Node, Process, address, built, envoy, wait_until};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    load::{Load, Manners},
    manifests::{self, INGRESS, RANGED},
    operator::{self, Operator},
    websocket::Websocket,
};

/// How long one thing may take on a busy machine. Usually it is some milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// What kubelet gives the two containers.
const LOADER_MAY: &str = "--bounding-set=-all,+bpf,+net_admin,+perfmon";
const ENVOY_MAY: &str = "--bounding-set=-all,+net_raw,+net_bind_service";

/// Connections at an Envoy that is to go have so long. They leave earlier, as they ask all the time.
const DRAIN: Duration = Duration::from_secs(40);

/// The file with the operator's certificate.
const AUTHORITY: &str = "ca.crt";

/// Envoy's threads that serve, each with sockets of its own.
const WORKERS: usize = 2;

static LOADER: LazyLock<PathBuf> = LazyLock::new(|| built("axoneme-node").unwrap());

pub(crate) struct Scene {
    // The order of the fields is the order of the end: the lab last.
    loader: Option<Process>,
    envoys: Vec<Process>,
    operator: Option<Operator>,
    _backend: Process,
    _backend_pod: Namespace,
    pod: Namespace,
    outside: Namespace,
    pub(crate) node: Node,
    folder: Folder,
    run_dir: TempDir,
    /// What outlives a reboot.
    state_dir: TempDir,
    authority: Authority,
    /// What the last loaders said.
    said: Vec<String>,
    _lab: Lab,
}

impl Scene {
    /// Everything runs and is served.
    pub(crate) fn start(name: &str) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut node = lab.node("node1", Layout::Routed).unwrap();
        let (pod, backend_pod) = (node.pod("client").unwrap(), node.pod("steady").unwrap());
        let outside = lab.client("outside").unwrap();
        for range in [address::BALANCERS_V4, address::BALANCERS_V6] {
            Lab::route(&outside, range, &node).unwrap();
        }
        let backend = backend_pod.spawn(built("axoneme-backend").unwrap(), ["--name", "steady"]).unwrap();
        wait_until("a backend to listen", SOON, || Ok(backend.log()?.contains("listens"))).unwrap();
        let folder = Folder::new().unwrap();
        folder.write("all.yaml", &manifests::all(backend_pod.address)).unwrap();
        let (run_dir, authority) = (tempfile::tempdir().unwrap(), Authority::generate().unwrap());
        let state_dir = tempfile::tempdir().unwrap();
        std::fs::write(state_dir.path().join(AUTHORITY), authority.certificate_pem()).unwrap();
        let mut scene = Self {
            loader: None,
            envoys: Vec::new(),
            operator: None,
            _backend: backend,
            _backend_pod: backend_pod,
            pod,
            outside,
            node,
            folder,
            run_dir,
            state_dir,
            authority,
            said: Vec::new(),
            _lab: lab,
        };
        scene.start_operator();
        scene.start_loader();
        scene.start_envoy();
        scene.until_served();
        scene
    }

    pub(crate) fn start_operator(&mut self) {
        self.operator = Some(Operator::start(&self.node, self.folder.path(), &self.authority));
    }

    pub(crate) fn end_operator(&mut self) {
        self.operator = None;
    }

    pub(crate) fn start_loader(&mut self) {
        let [run_dir, state_dir] = [&self.run_dir, &self.state_dir].map(|folder| folder.path().to_str().unwrap());
        let (ca, address) = (format!("{state_dir}/{AUTHORITY}"), format!("https://{}", operator::ADDRESS));
        let arguments = ["--operator-address", &address, "--ca-file", &ca, "--node-name", "node1"];
        let folders = ["--run-dir", run_dir, "--state-dir", state_dir];
        let kernel = ["--pin-dir", "/sys/fs/bpf/axoneme", "--cgroup", "/sys/fs/cgroup"];
        let program = [LOADER_MAY, LOADER.to_str().unwrap(), "run"];
        let all = program.into_iter().chain(arguments).chain(folders).chain(kernel);
        self.loader = Some(self.node.spawn("setpriv", all).unwrap());
    }

    /// Without a word.
    pub(crate) fn kill_loader(&mut self) {
        self.end_loader(Signal::SIGKILL);
    }

    /// As kubelet does.
    pub(crate) fn stop_loader(&mut self) {
        self.end_loader(Signal::SIGTERM);
    }

    fn end_loader(&mut self, signal: Signal) {
        let mut loader = self.loader.take().unwrap();
        loader.signal(signal).unwrap();
        loader.wait(SOON).unwrap();
        self.said.push(loader.log().unwrap());
        let old = self.said.len().saturating_sub(3);
        self.said.drain(..old);
    }

    /// A supervisor with an Envoy, beside those that are there.
    pub(crate) fn start_envoy(&mut self) {
        self.start_envoy_with(DRAIN);
    }

    /// The same, with another time that connections have when it is to go.
    pub(crate) fn start_envoy_with(&mut self, drain: Duration) {
        let (loader, envoy) = (LOADER.to_str().unwrap().to_owned(), envoy().unwrap());
        let (run_dir, drain) = (self.run_dir.path().to_str().unwrap(), drain.as_secs().to_string());
        let supervise = ["supervise", "--node-name", "node1", "--run-dir", run_dir, "--drain-time", &drain, "--"];
        let workers = WORKERS.to_string();
        let arguments = [envoy.to_str().unwrap(), "--concurrency", &workers, "--log-level", "warning"];
        let all = [ENVOY_MAY, &loader].into_iter().chain(supervise).chain(arguments);
        self.envoys.push(self.node.spawn("setpriv", all).unwrap());
    }

    /// Waits until the newest Envoy is the one that new connections go to.
    pub(crate) fn until_taken_over(&self) {
        let (newest, wanted) =
            (self.envoys.last().unwrap(), self.status().unwrap().summary.listeners.len() * 2 * WORKERS);
        let waited = wait_until("the newest Envoy to listen", SOON, || {
            let log = newest.log()?;
            let Some((_, seat)) = log.split_once("took a seat ") else { return Ok(false) };
            let [v4, v6] = if seat.contains("First") { ["127.0.0.1", "[::1]"] } else { ["127.0.0.2", "[::2]"] };
            let sockets = self.node.run("ss", ["-Htln", "src", v4, "or", "src", v6])?;
            Ok(sockets.lines().filter(|line| !line.contains(operator::ADDRESS)).count() >= wanted)
        });
        assert!(waited.is_ok(), "{}", self.words());
    }

    /// The oldest Envoy is asked to end, and ends.
    pub(crate) fn end_oldest_envoy(&mut self) {
        self.ask_oldest_envoy();
        self.until_oldest_envoy_ended();
    }

    /// The oldest Envoy is asked to end, and begins to drain.
    pub(crate) fn ask_oldest_envoy(&self) {
        let oldest = &self.envoys[0];
        oldest.signal(Signal::SIGTERM).unwrap();
        wait_until("the oldest Envoy to drain", SOON, || Ok(oldest.log()?.contains("draining"))).unwrap();
    }

    /// What it said, at its end.
    pub(crate) fn until_oldest_envoy_ended(&mut self) -> String {
        let mut oldest = self.envoys.remove(0);
        oldest.wait(SOON).unwrap();
        oldest.log().unwrap()
    }

    /// A websocket from the pod.
    pub(crate) fn websocket(&self) -> Websocket {
        Websocket::open(&self.pod, self.balancers(RANGED)[0])
    }

    /// Envoy dies. Its supervisor starts it again when it is told to, so that there is time to look around.
    pub(crate) fn kill_envoy(&self) {
        self.envoys[0].signal(Signal::SIGSTOP).unwrap();
        let script = "for pid in $(cat /sys/fs/cgroup/cgroup.procs); do
            case $(cat /proc/$pid/comm) in envoy*) kill -9 $pid; echo $pid; esac; done";
        assert_eq!(self.node.run("sh", ["-c", script]).unwrap().lines().count(), 1, "one Envoy");
    }

    /// See [`Self::kill_envoy`].
    pub(crate) fn go_on_supervising(&self) {
        self.envoys[0].signal(Signal::SIGCONT).unwrap();
    }

    /// What becomes of a connection from outside to the Ingress's addresses.
    pub(crate) fn dial(&self) -> Vec<io::Result<()>> {
        let addresses = self.balancers(INGRESS);
        let dial = |to: &SocketAddr| TcpStream::connect_timeout(to, SOON).map(drop);
        self.outside.enter(|| addresses.iter().map(dial).collect()).unwrap()
    }

    /// All that runs ends without a word, and the kernel forgets everything; what is on disk stays. Then it starts again.
    pub(crate) fn reboot(&mut self) {
        self.go_down();
        self.start_loader();
        self.start_envoy();
    }

    /// The same, and nothing outlives it but whom the loader believes.
    pub(crate) fn reboot_without_memory(&mut self) {
        self.go_down();
        let authority = std::fs::read(self.state_dir.path().join(AUTHORITY)).unwrap();
        assert!(empty(self.state_dir.path()) > 1, "there was no state to lose");
        std::fs::write(self.state_dir.path().join(AUTHORITY), authority).unwrap();
        self.start_loader();
        self.start_envoy();
    }

    fn go_down(&mut self) {
        self.envoys.clear();
        self.kill_loader();
        let pins = ["cleanup", "--pin-dir", "/sys/fs/bpf/axoneme", "--cgroup", "/sys/fs/cgroup"];
        self.node.run(LOADER.to_str().unwrap(), pins).unwrap();
        empty(self.run_dir.path());
    }

    /// The next loader waits for this one's end, and takes over.
    pub(crate) fn replace_loader(&mut self) {
        let mut old = self.loader.take().unwrap();
        self.start_loader();
        let waits = || Ok(self.loader.as_ref().unwrap().log()?.contains("waiting for it to end"));
        wait_until("the next loader to wait", SOON, waits).unwrap();
        old.signal(Signal::SIGTERM).unwrap();
        old.wait(SOON).unwrap();
    }

    /// Waits until the operator has told the loader all it has to say.
    pub(crate) fn until_synced(&self) {
        wait_until("the loader to be told everything", SOON, || Ok(self.status().is_some_and(|it| it.summary.synced)))
            .unwrap();
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let socket = self.run_dir.path().join("status.sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(status::fetch(&socket)).ok()
    }

    /// Waits until the loader says that all is served, and tells how long that took.
    pub(crate) fn until_served(&self) -> Duration {
        let start = Instant::now();
        let mut last = None;
        let waited = wait_until("all to be served", SOON, || {
            last = self.status();
            Ok(last.as_ref().is_some_and(|status| {
                let listen = status.summary.listeners.iter().all(|listener| listener.listening);
                let is_on = |name: &&str| on(status, name).len() >= 2;
                status.summary.envoy_connected && listen && [INGRESS, RANGED].iter().all(is_on)
            }))
        });
        assert!(waited.is_ok(), "{last:#?}\n{}", self.words());
        start.elapsed()
    }

    /// What the loader that ended last said.
    pub(crate) fn last_words(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    /// What the loader that is at work said.
    pub(crate) fn loader_words(&self) -> String {
        self.loader.as_ref().unwrap().log().unwrap()
    }

    /// What the processes said.
    pub(crate) fn words(&self) -> String {
        let now = self.loader.iter().chain(&self.envoys).map(|process| process.log().unwrap());
        self.said.iter().cloned().chain(now).collect::<Vec<_>>().join("\n-- \n")
    }

    /// Clients in the pod and outside, for the load balancer addresses of both redirects.
    pub(crate) fn load(&self, manners: Manners) -> Load {
        let ingress = self.balancers(INGRESS);
        let all = [ingress.clone(), self.balancers(RANGED)].concat();
        Load::start(&[(&self.pod, ingress), (&self.outside, all)], manners)
    }

    /// The load balancer addresses of a redirect, of both families.
    fn balancers(&self, name: &str) -> Vec<SocketAddr> {
        let status = self.status().unwrap();
        let found: Vec<_> = on(&status, name).into_iter().filter(|at| address::is_balancer(at.ip())).collect();
        assert_eq!(found.len(), 2, "{status:#?}");
        found
    }

    /// One of the kernel's counters.
    pub(crate) fn counter(&self, service: &str, reason: &str) -> u64 {
        let counters = self.status().unwrap().counters;
        let found = counters.iter().find(|it| it.service == service && it.reason == reason);
        found.map_or(0, |it| it.connections)
    }

    /// How many connections did not go to Envoy, of all that were for it. Who is refused says so itself.
    pub(crate) fn lost(&self) -> u64 {
        let reasons = ["bypassed", "unassigned", "source-range"];
        let counters = self.status().unwrap().counters;
        counters.iter().filter(|it| reasons.contains(&it.reason.as_str())).map(|it| it.connections).sum()
    }
}

/// The addresses at which a redirect is taken.
fn on(status: &Status, name: &str) -> Vec<SocketAddr> {
    let found = status.summary.redirects.iter().find(|redirect| redirect.name == name);
    let on = found.iter().flat_map(|redirect| &redirect.frontends).filter(|frontend| frontend.on);
    on.map(|frontend| frontend.address).collect()
}

/// Takes away all that is in a folder, and says how much that was.
fn empty(folder: &Path) -> usize {
    let entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for entry in &entries {
        if entry.is_dir() { std::fs::remove_dir_all(entry).unwrap() } else { std::fs::remove_file(entry).unwrap() }
    }
    entries.len()
}
