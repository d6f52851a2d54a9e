//! The node, and what it is between: an operator that is a store, a kernel that is a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use axoneme_node::{
    Config, EnvoyBinary, NodeError, NodeEvent, Operator,
    datapath::{Counters, Datapath, DatapathError, Entry, Reason, ServiceId, SourceRange},
    layout::Layout,
    run_with,
    seat::Seat,
    status,
};
use axoneme_xds::{
    Change, Outcome, Policy, Resource, Store,
    grpc::{AdsServer, Caller, Event, Host, Hub, in_memory, server_builder},
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::web::get;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A map in memory, and the real sockets.
#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) Arc<Mutex<BTreeMap<SocketAddr, Entry>>>);

impl Datapath for Memory {
    fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError> {
        self.0.lock().insert(frontend, entry);
        Ok(())
    }

    fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError> {
        self.0.lock().remove(&frontend);
        Ok(())
    }

    fn set_sources(&mut self, _: ServiceId, _: &BTreeSet<SourceRange>) -> Result<(), DatapathError> {
        Ok(())
    }

    fn keep_clients(&mut self, _: bool) -> Result<(), DatapathError> {
        Ok(())
    }

    fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError> {
        Ok(self.0.lock().clone())
    }

    fn listening(&self, port: u16) -> Result<bool, DatapathError> {
        Ok(TcpStream::connect(("127.0.0.1", port)).is_ok() && TcpStream::connect(("::1", port)).is_ok())
    }

    fn connections(&self, _: &BTreeSet<SocketAddr>) -> Result<BTreeMap<SocketAddr, usize>, DatapathError> {
        Ok(BTreeMap::new())
    }

    fn cut(&self, _: SocketAddr) -> Result<usize, DatapathError> {
        Ok(0)
    }

    fn prefer(&mut self, _: Seat) -> Result<(), DatapathError> {
        Ok(())
    }

    fn node_addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        watch::channel(Vec::new()).1
    }

    fn layout(&self) -> Layout {
        Layout::default()
    }

    /// Of each service so many connections were taken as it has addresses.
    fn counters(&self) -> Result<Counters, DatapathError> {
        let mut counters = Counters::new();
        for entry in self.0.lock().values() {
            *counters.entry((entry.service, Reason::Taken)).or_default() += 1;
        }
        Ok(counters)
    }
}

pub(crate) struct Anybody {
    outcomes: mpsc::UnboundedSender<Outcome>,
    features: mpsc::UnboundedSender<Vec<String>>,
}

impl Host for Anybody {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let _ = self.features.send(caller.node.client_features);
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: Event) {
        if let Event::Outcome { outcome, .. } = event {
            let _ = self.outcomes.send(outcome);
        }
    }
}

/// The operator: a store, and what the node says of it.
pub(crate) struct Intents {
    hub: Hub<Store>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    features: mpsc::UnboundedReceiver<Vec<String>>,
    pub(crate) operator: Operator,
}

impl Intents {
    pub(crate) fn new() -> Self {
        let (outcomes_in, outcomes) = mpsc::unbounded_channel();
        let hub = Hub::new(Store::default());
        let (features_in, features) = mpsc::unbounded_channel();
        let host = Anybody { outcomes: outcomes_in, features: features_in };
        let service = AdsServer::new(hub.clone(), Policy::intents(), Arc::new(host));
        let (channel, incoming) = in_memory();
        tokio::spawn(server_builder().add_service(service).serve_with_incoming(incoming));
        Self { hub, outcomes, features, operator: Operator::Channel(channel) }
    }

    pub(crate) fn put(&self, resources: &[Resource]) {
        self.hub.update(|store| store.apply(resources.iter().map(|one| (one.key(), Change::Put(one.clone())))));
    }

    pub(crate) fn remove(&self, resources: &[Resource]) {
        self.hub.update(|store| store.apply(resources.iter().map(|one| (one.key(), Change::Remove))));
    }

    /// What the node says it can do, on its next stream.
    pub(crate) async fn features(&mut self) -> Vec<String> {
        timeout(SOON, self.features.recv()).await.expect("a stream").expect("an operator")
    }

    /// Waits for what the node says of a version, or of a removal.
    pub(crate) async fn outcome(&mut self, resource: &Resource, removal: bool) -> Result<(), String> {
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

pub(crate) struct Lab {
    pub(crate) folder: TempDir,
    kernel: Memory,
    shutdown: CancellationToken,
    events: mpsc::UnboundedReceiver<NodeEvent>,
    /// Of Envoy, as far as they were looked at.
    connections: usize,
    task: JoinHandle<Result<(), NodeError>>,
}

impl Lab {
    pub(crate) fn start(folder: TempDir, kernel: Memory, operator: Operator, cleanup_on_exit: bool) -> Self {
        let mut config = Config::new("node-1");
        config.run_dir = folder.path().to_owned();
        config.envoy = Some(EnvoyBinary { path: axoneme_testnet::envoy().expect("Envoy"), concurrency: 1 });
        config.cleanup_on_exit = cleanup_on_exit;
        Self::start_with(config, folder, kernel, operator)
    }

    pub(crate) fn start_with(config: Config, folder: TempDir, kernel: Memory, operator: Operator) -> Self {
        let shutdown = CancellationToken::new();
        let (said, events) = mpsc::unbounded_channel();
        let datapath = Box::new(kernel.clone());
        let task = tokio::spawn(run_with(datapath, config, operator, shutdown.clone(), Some(said)));
        Self { folder, kernel, shutdown, events, connections: 0, task }
    }

    pub(crate) async fn event(&mut self, wanted: impl Fn(&NodeEvent) -> bool) -> NodeEvent {
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

    /// No such thing happened so far.
    pub(crate) fn never(&mut self, unwanted: impl Fn(&NodeEvent) -> bool) {
        while let Ok(event) = self.events.try_recv() {
            self.connections += usize::from(event == NodeEvent::EnvoyConnected);
            assert!(!unwanted(&event), "{event:?}");
        }
    }

    /// Waits until new connections to a frontend lead to a port.
    pub(crate) async fn leads(&self, address: &str, port: u16) {
        let there = async {
            while self.entry(address).map(|entry| entry.proxy_port) != Some(port) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, there).await.expect("the entry");
    }

    pub(crate) async fn port(&mut self, listener: &str) -> u16 {
        let ready = |event: &NodeEvent| matches!(event, NodeEvent::ListenerReady { name, .. } if &**name == listener);
        match self.event(ready).await {
            NodeEvent::ListenerReady { port, .. } => port,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn entry(&self, address: &str) -> Option<Entry> {
        self.kernel.0.lock().get(&address.parse().expect("an address")).copied()
    }

    /// The port that the status has, once it listens.
    pub(crate) async fn port_of(&self, listener: &str) -> u16 {
        let socket = self.folder.path().join("status.sock");
        let found = async {
            loop {
                // A node that has just begun has no socket yet.
                let listeners = status::fetch(&socket).await.map(|status| status.summary.listeners).unwrap_or_default();
                let ready = listeners.into_iter().find(|it| it.name == listener && it.listening);
                if let Some(port) = ready.and_then(|ready| ready.port) {
                    return port;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, found).await.expect("a port")
    }

    /// Waits until a listener answers.
    pub(crate) async fn serves(&self, port: u16) {
        let answered = async {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, answered).await.expect("a listener");
        assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    }

    /// How many Envoys there were so far.
    pub(crate) fn envoys(&mut self) -> usize {
        while let Ok(event) = self.events.try_recv() {
            self.connections += usize::from(event == NodeEvent::EnvoyConnected);
        }
        self.connections
    }

    pub(crate) async fn stop(self) -> (TempDir, Memory) {
        self.shutdown.cancel();
        timeout(SOON, self.task).await.expect("an end").expect("no panic").expect("a good end");
        (self.folder, self.kernel)
    }
}

/// An Envoy that is nobody's child but the test's.
pub(crate) struct Elsewhere(std::process::Child);

impl Elsewhere {
    pub(crate) fn start(config: &Config) -> Self {
        Self::start_by(std::process::Command::new(axoneme_testnet::envoy().expect("an Envoy")), config)
    }

    /// By a command that wants Envoy's arguments behind its own.
    pub(crate) fn start_by(mut command: std::process::Command, config: &Config) -> Self {
        std::fs::write(config.bootstrap_file(Seat::First), config.bootstrap(Seat::First, None)).expect("a bootstrap");
        command.arg("--config-path").arg(config.bootstrap_file(Seat::First));
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
