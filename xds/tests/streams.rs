//! Real gRPC streams, in memory and over a Unix socket.

#![expect(clippy::expect_used, reason = "what a test waits for and does not get is its failure")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axoneme_xds::grpc::{
    AdsServer, Caller, Event, Host, Hub, Settler, Signal, Subscription, Views, endpoint, in_memory, server_builder,
    subscribe,
};
use axoneme_xds::proto::Node;
use axoneme_xds::type_urls::{CLUSTER, SECRET};
use axoneme_xds::{Change, Client, Key, Outcome, Policy, Resource, Store, Update, View};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;
use tonic::transport::server::Connected;

const SOON: Duration = Duration::from_secs(20);

/// Lets in whoever brings the token, under the name of its node.
struct Door {
    events: mpsc::UnboundedSender<Event>,
}

impl Host for Door {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        match caller.metadata.get("authorization").and_then(|token| token.to_str().ok()) {
            Some(token) if token == format!("token of {}", caller.node.id) => Ok(caller.node.id.into()),
            _ => Err(Status::permission_denied("the token is not this node's")),
        }
    }

    fn observe(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A store of which each subscriber sees the names that begin with its own.
struct Private(Store);

struct Own<'a>(&'a Store, &'a str);

impl Views for Private {
    fn view<'a>(&'a self, subscriber: &'a str) -> Box<dyn View + 'a> {
        Box::new(Own(&self.0, subscriber))
    }
}

impl View for Own<'_> {
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        name.starts_with(self.1).then(|| self.0.get(type_url, name)).flatten()
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        self.0.names(type_url).into_iter().filter(|name| name.starts_with(self.1)).collect()
    }
}

/// Serves until dropped; the events come out of the receiver.
struct Server {
    hub: Hub<Private>,
    events: mpsc::UnboundedReceiver<Event>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn start<IO>(store: Store, incoming: impl tokio_stream::Stream<Item = io::Result<IO>> + Send + 'static) -> Self
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (events_in, events) = mpsc::unbounded_channel();
        let hub = Hub::new(Private(store));
        let service = AdsServer::new(hub.clone(), Policy::intents(), Arc::new(Door { events: events_in }));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let served = server_builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await;
            assert!(served.is_ok(), "{served:?}");
        });
        Self { hub, events, stop, task }
    }

    fn put(&self, resources: &[Resource]) {
        let edits: Vec<_> = resources.iter().map(|one| (one.key(), Change::Put(one.clone()))).collect();
        self.hub.update(|data| data.0.apply(edits));
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(SOON, self.events.recv()).await.expect("an event in time").expect("a server")
    }

    /// The next outcome, whatever else happens.
    async fn outcome(&mut self) -> Outcome {
        loop {
            if let Event::Outcome { outcome, .. } = self.event().await {
                return outcome;
            }
        }
    }

    async fn shut_down(self) {
        self.hub.close();
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("streams end on shutdown").expect("no panic");
    }
}

fn client(node: &str) -> Client {
    Client::new(Node { id: node.to_owned(), ..Node::default() }, [SECRET, CLUSTER])
}

fn token(node: &str) -> impl FnMut() -> Result<MetadataMap, String> + Send + use<> {
    let token = format!("token of {node}");
    move || {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", token.parse().map_err(|_| "no header value".to_owned())?);
        Ok(metadata)
    }
}

fn start(client: Client, channel: tonic::transport::Channel, node: &str) -> Subscription {
    let (subscription, driver) = subscribe(client, channel, token(node));
    tokio::spawn(driver);
    subscription
}

async fn signal(subscription: &mut Subscription) -> Signal {
    tokio::time::timeout(SOON, subscription.next()).await.expect("a signal in time").expect("a driver")
}

/// The next update, over any number of reconnects.
async fn update(subscription: &mut Subscription) -> Update {
    loop {
        if let Signal::Update(update) = signal(subscription).await {
            return update;
        }
    }
}

/// Takes as many updates as told and settles them all.
async fn accept(subscription: &mut Subscription, count: usize) -> BTreeMap<Key, Change> {
    let settler: Settler = subscription.settler();
    let mut accepted = BTreeMap::new();
    for _ in 0..count {
        let update = update(subscription).await;
        accepted.insert((update.type_url, update.name), update.change);
        settler.settle(update.receipt, Ok(()));
    }
    accepted
}

fn acked(resource: &Resource) -> Outcome {
    let (type_url, name) = resource.key();
    Outcome::Acked { type_url, name, version: Some(resource.version.clone()) }
}

fn store(resources: &[Resource]) -> Store {
    let mut store = Store::default();
    store.apply(resources.iter().map(|one| (one.key(), Change::Put(one.clone()))));
    store
}

#[tokio::test]
async fn in_memory_from_change_to_outcome() {
    let (channel, incoming) = in_memory();
    let mine = Resource::new(SECRET, "one/s", "1");
    let theirs = Resource::new(SECRET, "two/s", "1");
    let mut server = Server::start(store(&[mine.clone(), theirs]), incoming);
    let mut subscription = start(client("one"), channel, "one");

    assert!(matches!(signal(&mut subscription).await, Signal::Connected));
    let first = update(&mut subscription).await;
    assert_eq!((&first.name, &first.change), (&mine.name, &Change::Put(mine.clone())));
    assert_eq!(server.event().await, Event::Opened { stream: 1, subscriber: "one".into() });

    // A change arrives although the first update is still open, and the answers come in the other order.
    let changed = Resource::new(CLUSTER, "one/c", "1");
    server.put(&[changed.clone(), Resource::new(CLUSTER, "two/c", "1")]);
    let second = update(&mut subscription).await;
    let settler = subscription.settler();
    settler.settle(second.receipt, Err("Envoy says no".to_owned()));
    settler.settle(first.receipt, Ok(()));
    let (type_url, name) = changed.key();
    let (version, message) = (Some(changed.version.clone()), "Envoy says no".to_owned());
    assert_eq!(server.outcome().await, Outcome::Nacked { type_url, name, version, message });
    assert_eq!(server.outcome().await, acked(&mine));

    assert_eq!(server.hub.streams(), 1);
    drop(subscription);
    assert_eq!(server.event().await, Event::Closed { stream: 1, subscriber: "one".into() });
    assert_eq!(server.hub.streams(), 0);
    server.shut_down().await;
}

#[tokio::test]
async fn a_caller_with_anothers_token_is_refused() {
    let (channel, incoming) = in_memory();
    let mut server = Server::start(store(&[Resource::new(SECRET, "one/s", "1")]), incoming);
    let (mut subscription, driver) = subscribe(client("one"), channel, token("two"));
    tokio::spawn(driver);
    let Signal::Disconnected { reason, .. } = signal(&mut subscription).await else { panic!("not refused") };
    assert!(reason.contains("the token is not this node's"), "{reason}");
    assert!(server.events.try_recv().is_err(), "no stream was opened");
    drop(subscription);
    server.shut_down().await;
}

/// Tells what nodes say they can do.
struct Ears(mpsc::UnboundedSender<Vec<String>>);

impl Host for Ears {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let _ = self.0.send(caller.node.client_features);
        Ok(caller.node.id.into())
    }

    fn observe(&self, _: Event) {}
}

#[tokio::test]
async fn a_node_that_can_something_new_opens_a_new_stream_to_say_so() {
    let (channel, incoming) = in_memory();
    let (said, mut heard) = mpsc::unbounded_channel();
    let one = Resource::new(SECRET, "one/s", "1");
    let service = AdsServer::new(Hub::new(store(&[one])), Policy::intents(), Arc::new(Ears(said)));
    tokio::spawn(server_builder().add_service(service).serve_with_incoming(incoming));
    let mut subscription = start(client("one"), channel, "one");
    let settler = subscription.settler();
    accept(&mut subscription, 1).await;
    let mut hear = async || tokio::time::timeout(SOON, heard.recv()).await.expect("in time").expect("a server");
    assert!(hear().await.is_empty());
    let flight = vec!["flight".to_owned()];
    // Said twice, it is news once.
    for features in [flight.clone(), flight.clone(), Vec::new()] {
        settler.set_features(features);
    }
    assert_eq!(hear().await, flight);
    assert!(hear().await.is_empty());
    // Nothing is sent again, and that is no loss of the server.
    while let Ok(Some(signal)) = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await {
        assert!(matches!(signal, Signal::Connected), "{signal:?}");
    }
}

#[tokio::test]
async fn a_driver_without_credentials_tries_again() {
    let (channel, incoming) = in_memory();
    let server = Server::start(store(&[Resource::new(SECRET, "one/s", "1")]), incoming);
    let mut read = token("one");
    let mut attempts = 0;
    let metadata = move || {
        attempts += 1;
        if attempts < 3 { Err("token: no such file".to_owned()) } else { read() }
    };
    let (mut subscription, driver) = subscribe(client("one"), channel, metadata);
    tokio::spawn(driver);
    for _ in 0..2 {
        let Signal::Disconnected { reason, .. } = signal(&mut subscription).await else { panic!("connected") };
        assert_eq!(reason, "token: no such file");
    }
    assert!(matches!(signal(&mut subscription).await, Signal::Connected));
    drop(subscription);
    server.shut_down().await;
}

fn listen(path: &Path) -> UnixListenerStream {
    UnixListenerStream::new(tokio::net::UnixListener::bind(path).expect("a socket"))
}

#[tokio::test]
async fn over_a_unix_socket_a_restarted_server_sends_only_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ads.sock");
    let [same, old, new] = [("one/same", "1"), ("one/changed", "1"), ("one/changed", "2")]
        .map(|(name, body)| Resource::new(CLUSTER, name, body));
    let gone = Resource::new(SECRET, "one/gone", "1");

    let server = Server::start(store(&[same.clone(), old, gone.clone()]), listen(&path));
    let channel = endpoint(Endpoint::from_shared(format!("unix://{}", path.display())).expect("an address"));
    let mut subscription = start(client("one"), channel.connect_lazy(), "one");
    accept(&mut subscription, 3).await;
    let late = Resource::new(CLUSTER, "one/late", "1");
    server.put(std::slice::from_ref(&late));
    let open = update(&mut subscription).await;
    server.shut_down().await;
    let Signal::Disconnected { reason, .. } = signal(&mut subscription).await else { panic!("still connected") };
    assert!(reason.contains("shutting down"), "{reason}");
    // Settled while there is no server: the next one hears of it all the same.
    subscription.settler().settle(open.receipt, Ok(()));

    std::fs::remove_file(&path).expect("the old socket");
    let mut server = Server::start(store(&[same.clone(), new.clone(), late.clone()]), listen(&path));
    let accepted = accept(&mut subscription, 2).await;
    assert_eq!(accepted, BTreeMap::from([(new.key(), Change::Put(new.clone())), (gone.key(), Change::Remove)]));
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(server.outcome().await);
    }
    let (type_url, name) = gone.key();
    let expected = [acked(&same), acked(&late), acked(&new), Outcome::Acked { type_url, name, version: None }];
    assert!(expected.iter().all(|one| outcomes.contains(one)), "{outcomes:?}");
    drop(subscription);
    server.shut_down().await;
}

#[tokio::test]
async fn a_slow_reader_misses_only_what_is_outdated() {
    const EDITS: usize = 20_000;
    let (channel, incoming) = in_memory();
    let mut server = Server::start(Store::default(), incoming);
    let mut subscription = start(client("one"), channel, "one");
    assert!(matches!(signal(&mut subscription).await, Signal::Connected));
    let mut last = Resource::new(SECRET, "one/s", "");
    for edit in 0..EDITS {
        last = Resource::new(SECRET, "one/s", edit.to_string());
        server.put(std::slice::from_ref(&last));
        if edit % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let settler = subscription.settler();
    let mut received = 0;
    loop {
        let update = update(&mut subscription).await;
        received += 1;
        settler.settle(update.receipt, Ok(()));
        if update.change == Change::Put(last.clone()) {
            break;
        }
    }
    assert!(received < EDITS / 2, "{received} updates for {EDITS} edits");
    while server.outcome().await != acked(&last) {}
    drop(subscription);
    server.shut_down().await;
}
