//! An unmodified Envoy under our server: the rules of [`Policy::envoy`] hold for the client that they are made for.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`.

#![expect(clippy::expect_used, clippy::panic, reason = "what a test waits for and does not get is its failure")]

mod resources;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axoneme_xds::grpc::{AdsServer, Caller, Event, Host, Hub, server_builder};
use axoneme_xds::type_urls::CLUSTER;
use axoneme_xds::{Change, Outcome, Policy, Resource, Store};
use resources::{cluster, endpoints, listener, route};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Longer than anything takes, and shorter than the 15 s after which Envoy goes on without an answer.
const SOON: Duration = Duration::from_secs(10);

/// How long Envoy may take to start: its binary may come from a cold disk.
const START: Duration = Duration::from_secs(60);

struct Anybody(mpsc::UnboundedSender<Event>);

impl Host for Anybody {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

struct Server {
    hub: Hub<Store>,
    events: mpsc::UnboundedReceiver<Event>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn start(socket: &Path, resources: &[Resource]) -> Self {
        let (events_in, events) = mpsc::unbounded_channel();
        let hub = Hub::new(Store::default());
        let service = AdsServer::new(hub.clone(), Policy::envoy(), Arc::new(Anybody(events_in)));
        let incoming = UnixListenerStream::new(tokio::net::UnixListener::bind(socket).expect("a socket"));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let served = server_builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await;
            assert!(served.is_ok(), "{served:?}");
        });
        let server = Self { hub, events, stop, task };
        server.put(resources);
        server
    }

    fn put(&self, resources: &[Resource]) {
        let edits: Vec<_> = resources.iter().map(|one| (one.key(), Change::Put(one.clone()))).collect();
        self.hub.update(|store| store.apply(edits));
    }

    /// Waits until Envoy is there.
    async fn opened(&mut self) {
        let opened = async { while !matches!(self.events.recv().await.expect("a server"), Event::Opened { .. }) {} };
        tokio::time::timeout(START, opened).await.expect("Envoy");
    }

    /// Waits until Envoy has said something of every one of `count` resources.
    async fn outcomes(&mut self, count: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            let event = tokio::time::timeout(SOON, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("only {outcomes:?}")).expect("a server");
            if let Event::Outcome { outcome, .. } = event {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    async fn accepts(&mut self, resources: &[Resource]) {
        let outcomes = self.outcomes(resources.len()).await;
        for resource in resources {
            assert!(outcomes.contains(&acked(resource)), "{}: {outcomes:?}", resource.name);
        }
    }

    async fn die(self, socket: &Path) {
        self.hub.close();
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("streams end on shutdown").expect("no panic");
        std::fs::remove_file(socket).expect("the socket");
    }
}

fn acked(resource: &Resource) -> Outcome {
    let (type_url, name) = resource.key();
    Outcome::Acked { type_url, name, version: Some(resource.version.clone()) }
}

/// Envoy with nothing but the way to the server; it dies with the handle.
fn envoy(folder: &Path, socket: &Path) -> Child {
    let config = format!(
        r#"
node: {{ id: node-1, cluster: test }}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services:
      - envoy_grpc:
          cluster_name: xds
          retry_policy: {{ retry_back_off: {{ base_interval: 0.05s, max_interval: 0.2s }} }}
  lds_config: {{ ads: {{}}, resource_api_version: V3 }}
  cds_config: {{ ads: {{}}, resource_api_version: V3 }}
static_resources:
  clusters:
    - name: xds
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{ http2_protocol_options: {{}} }}
      load_assignment:
        cluster_name: xds
        endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ pipe: {{ path: "{}" }} }} }} }}] }}]
"#,
        socket.display()
    );
    let path = folder.join("envoy.yaml");
    std::fs::write(&path, config).expect("a configuration");
    let mut command = Command::new(axoneme_testnet::envoy().expect("Envoy"));
    command.arg("-c").arg(path).args(["--disable-hot-restart", "--concurrency", "1", "-l", "error"]);
    command.stdout(Stdio::null()).kill_on_drop(true).spawn().expect("Envoy starts")
}

/// Waits until a listener takes connections.
async fn open(path: &Path) -> bool {
    for _ in 0..SOON.as_millis() / 25 {
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

#[tokio::test]
async fn envoy_takes_edits_refusals_and_a_restarted_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, web) = (folder.path().join("ads.sock"), folder.path().join("web.sock"));
    let mut server = Server::start(&socket, &[]);
    let _envoy = envoy(folder.path(), &socket);
    server.opened().await;

    // Envoy asks for listeners only after an answer to its first question, for clusters. There are none.
    let listener = listener("web", &web.display().to_string(), "routes");
    server.put(std::slice::from_ref(&listener));
    server.accepts(std::slice::from_ref(&listener)).await;

    let first = [cluster("a", 1), endpoints("a")];
    server.put(&first);
    server.accepts(&first).await;

    // A listener waits for its routes, and opens when they come.
    let routes = route("routes");
    assert!(tokio::net::UnixStream::connect(&web).await.is_err());
    server.put(std::slice::from_ref(&routes));
    server.accepts(std::slice::from_ref(&routes)).await;
    assert!(open(&web).await, "the listener does not open");

    // A changed cluster is in force as soon as its assignment has followed it.
    let changed = cluster("a", 2);
    server.put(std::slice::from_ref(&changed));
    server.accepts(&[changed.clone(), endpoints("a")]).await;

    // What Envoy cannot read harms itself only.
    let (bad, good) = (Resource::new(CLUSTER, "bad", &[0xff][..]), cluster("good", 1));
    server.put(&[bad.clone(), good.clone(), endpoints("good")]);
    let outcomes = server.outcomes(3).await;
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Nacked { name, message, .. } if **name == *bad.name && !message.is_empty());
    assert!(outcomes.iter().any(refused), "{outcomes:?}");
    assert!(outcomes.contains(&acked(&good)) && outcomes.contains(&acked(&endpoints("good"))), "{outcomes:?}");

    // Another server: it learns what Envoy runs, and sends what differs.
    server.die(&socket).await;
    let renewed = cluster("good", 2);
    let now = [changed, endpoints("a"), renewed.clone(), endpoints("good"), listener, routes];
    let mut server = Server::start(&socket, &now);
    let outcomes = server.outcomes(now.len() + 1).await;
    for resource in &now {
        assert!(outcomes.contains(&acked(resource)), "{}: {outcomes:?}", resource.name);
    }
    server.hub.update(|store| [cluster("good", 2).key()].iter().filter_map(|key| store.remove(key)).collect());
    let (type_url, name) = renewed.key();
    assert_eq!(server.outcomes(1).await, [Outcome::Acked { type_url, name, version: None }]);
    assert!(open(&web).await, "the listener is gone");
}
