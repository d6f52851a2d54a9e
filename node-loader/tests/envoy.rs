//! A node with a real Envoy, an operator in memory, and a kernel that is only pretended.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`, and `NET_ADMIN`: listeners are transparent.

#![expect(clippy::expect_used, clippy::panic, reason = "what a test waits for and does not get is its failure")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use axoneme_api::intent::{Frontend, PROXY_CRASHED, REDIRECT, Redirect};
use axoneme_node::{
    Config, EnvoyBinary, NodeError, NodeEvent, Operator,
    datapath::{Counters, Datapath, DatapathError, Entry, FrontendState},
    run_with, status,
};
use axoneme_xds::{
    Change, Outcome, Policy, Resource, Store,
    grpc::{AdsServer, Caller, Event, Host, Hub, in_memory, server_builder},
    type_urls::{CLUSTER, LISTENER, ROUTE, SECRET},
};
use parking_lot::Mutex;
use prost::Message as _;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

const SOON: Duration = Duration::from_secs(30);

/// A map in memory, and the real sockets.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<SocketAddr, Entry>>>);

impl Datapath for Memory {
    fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError> {
        self.0.lock().insert(frontend, entry);
        Ok(())
    }

    fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError> {
        self.0.lock().remove(&frontend);
        Ok(())
    }

    fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError> {
        Ok(self.0.lock().clone())
    }

    fn listening(&self, port: u16) -> Result<bool, DatapathError> {
        Ok(TcpStream::connect(("127.0.0.1", port)).is_ok() && TcpStream::connect(("::1", port)).is_ok())
    }

    fn connections(&self, _: SocketAddr) -> Result<usize, DatapathError> {
        Ok(0)
    }

    fn node_addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        watch::channel(Vec::new()).1
    }

    fn counters(&self) -> Result<Counters, DatapathError> {
        Ok(Counters::new())
    }
}

struct Anybody(mpsc::UnboundedSender<Outcome>);

impl Host for Anybody {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: Event) {
        if let Event::Outcome { outcome, .. } = event {
            let _ = self.0.send(outcome);
        }
    }
}

/// The operator: a store, and what the node says of it.
struct Intents {
    hub: Hub<Store>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    operator: Operator,
}

impl Intents {
    fn new() -> Self {
        let (outcomes_in, outcomes) = mpsc::unbounded_channel();
        let hub = Hub::new(Store::default());
        let service = AdsServer::new(hub.clone(), Policy::intents(), Arc::new(Anybody(outcomes_in)));
        let (channel, incoming) = in_memory();
        tokio::spawn(server_builder().add_service(service).serve_with_incoming(incoming));
        Self { hub, outcomes, operator: Operator::Channel(channel) }
    }

    fn put(&self, resources: &[Resource]) {
        self.hub.update(|store| store.apply(resources.iter().map(|one| (one.key(), Change::Put(one.clone())))));
    }

    fn remove(&self, resources: &[Resource]) {
        self.hub.update(|store| store.apply(resources.iter().map(|one| (one.key(), Change::Remove))));
    }

    /// Waits for what the node says of a version, or of a removal.
    async fn outcome(&mut self, resource: &Resource, removal: bool) -> Result<(), String> {
        let wanted = (!removal).then(|| resource.version.clone());
        let is_it = |type_url: &Arc<str>, name: &Arc<str>, version: &Option<Arc<str>>| {
            *type_url == resource.type_url && *name == resource.name && *version == wanted
        };
        let heard = async {
            loop {
                match self.outcomes.recv().await.expect("an operator") {
                    Outcome::Acked { type_url, name, version } if is_it(&type_url, &name, &version) => {
                        return Ok(());
                    }
                    Outcome::Nacked { type_url, name, version, message } if is_it(&type_url, &name, &version) => {
                        return Err(message);
                    }
                    _ => {}
                }
            }
        };
        timeout(SOON, heard).await.unwrap_or_else(|_| panic!("nothing said of {}", resource.name))
    }
}

struct Lab {
    folder: TempDir,
    kernel: Memory,
    shutdown: CancellationToken,
    events: mpsc::UnboundedReceiver<NodeEvent>,
    /// Of Envoy, as far as they were looked at.
    connections: usize,
    task: JoinHandle<Result<(), NodeError>>,
}

impl Lab {
    fn start(folder: TempDir, kernel: Memory, operator: Operator, cleanup_on_exit: bool) -> Self {
        let mut config = Config::new("node-1");
        config.run_dir = folder.path().to_owned();
        config.envoy = Some(EnvoyBinary { path: axoneme_testnet::envoy().expect("Envoy"), concurrency: 1 });
        config.cleanup_on_exit = cleanup_on_exit;
        Self::start_with(config, folder, kernel, operator)
    }

    fn start_with(config: Config, folder: TempDir, kernel: Memory, operator: Operator) -> Self {
        let shutdown = CancellationToken::new();
        let (said, events) = mpsc::unbounded_channel();
        let datapath = Box::new(kernel.clone());
        let task = tokio::spawn(run_with(datapath, config, operator, shutdown.clone(), Some(said)));
        Self { folder, kernel, shutdown, events, connections: 0, task }
    }

    async fn event(&mut self, wanted: impl Fn(&NodeEvent) -> bool) -> NodeEvent {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("a node");
                self.connections += usize::from(event == NodeEvent::EnvoyConnected);
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(SOON, found).await.expect("the event")
    }

    async fn port(&mut self, listener: &str) -> u16 {
        let ready = |event: &NodeEvent| matches!(event, NodeEvent::ListenerReady { name, .. } if &**name == listener);
        match self.event(ready).await {
            NodeEvent::ListenerReady { port, .. } => port,
            other => panic!("{other:?}"),
        }
    }

    fn entry(&self, address: &str) -> Option<Entry> {
        self.kernel.0.lock().get(&address.parse().expect("an address")).copied()
    }

    /// The port that the status has, once it listens.
    async fn port_of(&self, listener: &str) -> u16 {
        let socket = self.folder.path().join("status.sock");
        let found = async {
            loop {
                let status = status::fetch(&socket).await.expect("a status");
                let ready = status.summary.listeners.into_iter().find(|it| it.name == listener && it.listening);
                if let Some(port) = ready.and_then(|ready| ready.port) {
                    return port;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, found).await.expect("a port")
    }

    /// Waits until a listener answers.
    async fn serves(&self, port: u16) {
        let answered = async {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, answered).await.expect("a listener");
        assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    }

    /// How many Envoys there were so far.
    fn envoys(&mut self) -> usize {
        while let Ok(event) = self.events.try_recv() {
            self.connections += usize::from(event == NodeEvent::EnvoyConnected);
        }
        self.connections
    }

    async fn stop(self) -> (TempDir, Memory) {
        self.shutdown.cancel();
        timeout(SOON, self.task).await.expect("an end").expect("no panic").expect("a good end");
        (self.folder, self.kernel)
    }
}

/// An encoded protobuf field with a body.
fn field(number: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut out);
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend(body);
    out
}

fn any(type_name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    [field(1, format!("type.googleapis.com/envoy.extensions.filters.{type_name}")), field(2, value)].concat()
}

/// A filter whose routes come by RDS.
fn web(routes: &str, router: &str) -> Vec<u8> {
    // `ads: {}` and `resource_api_version: V3` of the config source.
    let source = [field(3, ""), vec![6 << 3, 2]].concat();
    let rds = [field(1, source), field(2, routes)].concat();
    let router = [field(1, "router"), field(4, any(router, ""))].concat();
    let manager = [field(2, "test"), field(3, rds), field(5, router)].concat();
    let manager = any("network.http_connection_manager.v3.HttpConnectionManager", manager);
    [field(1, "http"), field(4, manager)].concat()
}

/// An HTTP listener without an address.
fn listener(name: &str, routes: &str, router: &str) -> Resource {
    Resource::new(LISTENER, name, [field(1, name), field(3, field(3, web(routes, router)))].concat())
}

/// Routes that answer every request with 200 and a text.
fn routes(name: &str, text: &str) -> Resource {
    let direct = [vec![1 << 3, 0xc8, 0x01], field(2, field(3, text))].concat();
    let route = [field(1, field(1, "/")), field(7, direct)].concat();
    let host = [field(1, "all"), field(2, "*"), field(3, route)].concat();
    Resource::new(ROUTE, name, [field(1, name), field(2, host)].concat())
}

fn redirect(name: &str, listener: &str, address: &str) -> Resource {
    let spec = Redirect {
        frontends: vec![Frontend::new(address.parse().expect("an address"))],
        listener: listener.to_owned(),
        owner: "Ingress default/web".to_owned(),
        ..Redirect::default()
    };
    Resource::new(REDIRECT, name, spec.encode_to_vec())
}

async fn get(address: (&str, u16)) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a listener");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

const ROUTER: &str = "http.router.v3.Router";
const FRONTEND: &str = "10.0.0.1:80";

// Nodes of one network namespace look for ports in the same range: each test has listener names of its own, and so ports.

#[tokio::test]
async fn intents_become_a_serving_listener_and_go_away_again() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    let set = [listener("l", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "l", FRONTEND)];
    intents.put(&set);
    let port = lab.port("l").await;
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    assert!(get(("::1", port)).await.ends_with("hello"));
    for resource in &set {
        // The order in which they are settled is of no interest here.
        assert!(lab.folder.path().join("state").exists(), "{}", resource.name);
    }
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let entry = lab.entry(FRONTEND).expect("an entry");
    assert_eq!((entry.proxy_port, entry.state), (port, FrontendState::On));

    // An edit is served by the same listener.
    let edited = routes("r", "goodbye");
    intents.put(std::slice::from_ref(&edited));
    assert_eq!(intents.outcome(&edited, false).await, Ok(()));
    assert!(get(("127.0.0.1", port)).await.ends_with("goodbye"));

    // What Envoy refuses comes back in its words and harms nobody.
    let (bad, worse) =
        (listener("bad", "r", "http.nonsense.v3.Nonsense"), listener("l", "r", "http.nonsense.v3.Nonsense"));
    intents.put(&[bad.clone(), worse.clone(), Resource::new(CLUSTER, "c", field(1, "c"))]);
    let refusal = intents.outcome(&bad, false).await.expect_err("a refusal");
    assert!(refusal.contains("Nonsense") || refusal.contains("router"), "{refusal}");
    intents.outcome(&worse, false).await.expect_err("a refusal");
    assert!(get(("127.0.0.1", port)).await.ends_with("goodbye"));

    let status = status::fetch(&lab.folder.path().join("status.sock")).await.expect("a status");
    assert!(status.operator.connected && status.summary.envoy_connected);
    assert_eq!(status.summary.rejections.len(), 2);
    assert_eq!(status.summary.redirects[0].owner, "Ingress default/web");
    assert!(status.summary.redirects[0].frontends[0].on);

    intents.remove(&[bad, worse, edited, set[2].clone()]);
    assert_eq!(intents.outcome(&set[0], true).await, Ok(()));
    assert_eq!(lab.entry(FRONTEND), None);
    // Envoy's workers close their sockets just after it agreed.
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, closed).await.expect("a closed port");
    let (folder, _) = lab.stop().await;
    assert!(!folder.path().join("state").exists() && !folder.path().join("xds.sock").exists());
}

#[tokio::test]
async fn edge_11_a_fresh_port_file_is_enough_to_serve_without_an_operator() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("kept", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "kept", FRONTEND)];
    intents.put(&set);
    let port = lab.port("kept").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let (folder, kernel) = lab.stop().await;
    assert_eq!(kernel.0.lock().len(), 1, "traffic flows on");

    // Nobody is behind this channel.
    let (channel, nobody) = in_memory();
    drop(nobody);
    let mut lab = Lab::start(folder, kernel, Operator::Channel(channel), true);
    assert_eq!(lab.port("kept").await, port);
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    assert_eq!(lab.entry(FRONTEND).map(|entry| entry.proxy_port), Some(port));
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_a_port_that_is_stolen_while_nothing_runs_is_given_up() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("taken", "r", ROUTER), routes("r", "hello")];
    intents.put(&set);
    let port = lab.port("taken").await;
    // Its socket is there before it is on disk.
    assert_eq!(intents.outcome(&set[0], false).await, Ok(()));
    let (folder, kernel) = lab.stop().await;

    // Another program takes the port while nothing runs, and state says that it is ours.
    let thief = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port");
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), true);
    lab.event(|event| matches!(event, NodeEvent::PortConflict { .. })).await;
    let moved = lab.port("taken").await;
    assert_ne!(moved, port);
    assert!(get(("127.0.0.1", moved)).await.ends_with("hello"));
    drop(thief);
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_an_envoy_that_is_killed_comes_back_with_everything() {
    let intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    intents.put(&[listener("again", "r", ROUTER), routes("r", "hello")]);
    let port = lab.port("again").await;
    let pids = std::process::Command::new("pgrep").arg("-f").arg(lab.folder.path()).output().expect("pgrep").stdout;
    let pid: i32 = String::from_utf8(pids).expect("text").trim().parse().expect("one Envoy");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("a kill");
    lab.event(|event| matches!(event, NodeEvent::EnvoyLost)).await;
    assert_eq!(lab.port("again").await, port);
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    lab.stop().await;
}

/// A listener that Envoy 1.40 dies of: transparent and not bound. It has an address, so the node does not touch it.
fn deadly(name: &str) -> Resource {
    let address = field(1, [field(2, "127.0.0.1"), vec![3 << 3, 0x01]].concat());
    let transparent = [10 << 3 | 2, 2, 1 << 3, 1];
    let not_bound = field(26, "");
    let web = listener(name, "r", ROUTER).body;
    Resource::new(LISTENER, name, [&*web, &field(2, address), &transparent, &not_bound].concat())
}

#[tokio::test]
async fn edge_11_a_listener_that_kills_envoy_is_quarantined_and_the_rest_serves() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let (calm, risky) = (listener("calm", "r", ROUTER), listener("risky", "r", ROUTER));
    intents.put(&[calm.clone(), risky.clone(), routes("r", "hello")]);
    let calm_port = lab.port("calm").await;
    assert_eq!(intents.outcome(&risky, false).await, Ok(()));
    let (deadly, first) = (deadly("risky"), deadly("first"));

    intents.put(std::slice::from_ref(&first));
    let refusal = intents.outcome(&first, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    lab.serves(calm_port).await;

    // An update of what served: that goes on.
    intents.put(std::slice::from_ref(&deadly));
    let refusal = intents.outcome(&deadly, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    let risky_port = lab.port_of("risky").await;
    lab.serves(calm_port).await;
    lab.serves(risky_port).await;
    assert!(lab.envoys() <= 1 + 2 * 3, "{} Envoys", lab.envoys());

    // The next run knows it, although the operator begins from the start.
    let (folder, kernel) = lab.stop().await;
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), true);
    let refusal = intents.outcome(&deadly, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    lab.serves(risky_port).await;
    let mended = listener("first", "r", ROUTER);
    intents.put(std::slice::from_ref(&mended));
    assert_eq!(intents.outcome(&mended, false).await, Ok(()));
    let port = lab.port_of("first").await;
    lab.serves(port).await;
    assert_eq!(lab.envoys(), 1);
    lab.stop().await;
}

/// A chain that every connection matches. Its routes are in it, and lead to a cluster.
fn chain_to(cluster: &str) -> Vec<u8> {
    let route = [field(1, field(1, "/")), field(2, field(1, cluster))].concat();
    let host = [field(1, "all"), field(2, "*"), field(3, route)].concat();
    let router = [field(1, "router"), field(4, any(ROUTER, ""))].concat();
    let manager = [field(2, "test"), field(4, field(2, host)), field(5, router)].concat();
    let manager = any("network.http_connection_manager.v3.HttpConnectionManager", manager);
    field(3, [field(1, "http"), field(4, manager)].concat())
}

/// A listener that shows the certificate of a secret.
fn tls(name: &str, secret: &str) -> Resource {
    let source = [field(3, ""), vec![6 << 3, 2]].concat();
    let common = field(6, [field(1, secret), field(2, source)].concat());
    let context = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let context = [field(1, context), field(2, field(1, common))].concat();
    let socket = field(6, [field(1, "tls"), field(3, context)].concat());
    let chain = [field(3, web("r", ROUTER)), socket].concat();
    Resource::new(LISTENER, name, [field(1, name), field(3, chain)].concat())
}

#[tokio::test]
async fn edge_11_what_envoy_refuses_comes_back_in_its_words_and_harms_nobody() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    intents.put(&[listener("steady", "r", ROUTER), routes("r", "hello")]);
    let port = lab.port("steady").await;

    let reference =
        Resource::new(LISTENER, "reference", [field(1, "reference"), field(3, chain_to("nowhere"))].concat());
    // The same condition twice, none at all: chains of one listener after those of the other.
    let once = listener("twice", "r", ROUTER).body;
    let twice = Resource::new(LISTENER, "twice", [&*once, &*once].concat());
    let pair = [field(1, field(3, "no certificate")), field(2, field(3, "no key"))].concat();
    let secret = Resource::new(SECRET, "broken", [field(1, "broken"), field(2, pair)].concat());
    intents.put(&[tls("tls", "broken")]);
    for (resource, words) in [(&reference, "nowhere"), (&twice, "same matching rules"), (&secret, "certificate")] {
        intents.put(std::slice::from_ref(resource));
        let refusal = intents.outcome(resource, false).await.expect_err("a refusal");
        assert!(refusal.contains(words), "{}: {refusal}", resource.name);
        lab.serves(port).await;
    }
    assert_eq!(lab.envoys(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_a_port_file_that_is_corrupt_missing_or_stale_harms_nobody() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("filed", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "filed", FRONTEND)];
    intents.put(&set);
    lab.port("filed").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let (mut folder, mut kernel) = lab.stop().await;
    let spoil: [fn(&std::path::Path); 2] = [
        |file| std::fs::write(file, "no record").expect("a write"),
        |file| std::fs::remove_file(file).expect("a removal"),
    ];
    for spoil in spoil {
        let files = std::fs::read_dir(folder.path().join("state")).expect("a folder");
        files.for_each(|file| spoil(&file.expect("a file").path()));
        let mut lab = Lab::start(folder, kernel, intents.operator.clone(), false);
        let port = lab.port("filed").await;
        lab.serves(port).await;
        let on = |event: &NodeEvent| matches!(event, NodeEvent::RedirectOn { port: on, .. } if *on == port);
        lab.event(on).await;
        assert_eq!(lab.entry(FRONTEND).map(|entry| entry.proxy_port), Some(port));
        (folder, kernel) = lab.stop().await;
    }

    // The operator has forgotten all of it meanwhile.
    intents.remove(&set);
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), false);
    lab.event(|event| matches!(event, NodeEvent::ListenerGone { name } if &**name == "filed")).await;
    assert_eq!(lab.entry(FRONTEND), None);
    let (folder, _) = lab.stop().await;
    assert_eq!(std::fs::read_dir(folder.path().join("state")).expect("a folder").count(), 0);
}

/// An Envoy that is nobody's child but the test's.
struct Elsewhere(std::process::Child);

impl Elsewhere {
    fn start(config: &Config) -> Self {
        std::fs::write(config.bootstrap_file(), config.bootstrap()).expect("a bootstrap");
        let mut command = std::process::Command::new(axoneme_testnet::envoy().expect("an Envoy"));
        command.arg("--config-path").arg(config.bootstrap_file());
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "off"]);
        Self(command.spawn().expect("an Envoy"))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks on a connection that stays open.
async fn ask(stream: &mut tokio::net::TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    let read = async {
        while !answer.ends_with("hello") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).await.expect("an answer");
            assert_ne!(count, 0, "closed after {answer:?}");
            answer += &String::from_utf8_lossy(&bytes[..count]);
        }
    };
    timeout(SOON, read).await.expect("an answer");
    answer
}

#[tokio::test]
async fn edge_11_an_agent_that_starts_anew_drains_no_listener_and_cuts_no_connection() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new("node-1");
    config.run_dir = folder.path().to_owned();
    let mut lab = Lab::start_with(config.clone(), folder, Memory::default(), intents.operator.clone());
    let _envoy = Elsewhere::start(&config);
    let set = [listener("stays", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "stays", FRONTEND)];
    intents.put(&set);
    let port = lab.port("stays").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a listener");
    ask(&mut stream).await;
    for _ in 0..3 {
        let (folder, kernel) = lab.stop().await;
        ask(&mut stream).await;
        lab = Lab::start_with(config.clone(), folder, kernel, intents.operator.clone());
        assert_eq!(lab.port("stays").await, port);
        let answer = ask(&mut stream).await;
        assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    lab.stop().await;
}
