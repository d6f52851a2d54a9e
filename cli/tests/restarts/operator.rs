//! The operator of the scene: the real engine on a folder, served over TLS as in a cluster, on a thread of this test. What
//! Kubernetes would give and keep, [`Local`] does.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use axoneme_envoy::Policy;
use axoneme_operator::{
    Changes, Engine, ObjectKey, ProblemChange, SourceEvent, Write,
    ca::{Authority, Leaf},
    file_source::FileSource,
    local::{Local, Pools},
    model::IngressDefaults,
    run::driver::{self, World},
    serve::{self, Admission, Nodes},
};
use axoneme_testnet::{Namespace, address};
use axoneme_xds::grpc::Hub;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Where the loader finds it, in the node's own network.
pub(crate) const ADDRESS: &str = "127.0.0.1:15010";

/// A running operator. Dropping it ends it at once, connections included.
pub(crate) struct Operator {
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Operator {
    /// Serves what the folder holds to the node, with a certificate of this authority.
    pub(crate) fn start(node: &Namespace, folder: &Path, authority: &Authority) -> Self {
        let listener = node.enter(|| TcpListener::bind(ADDRESS)).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = Authority::from_pem(authority.certificate_pem(), &authority.key_pem()).unwrap();
        let leaf = Arc::new(Leaf::new(own, vec!["127.0.0.1".to_owned()]).unwrap());
        let (folder, node) = (folder.to_owned(), node.name.clone());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(listener, leaf, folder, &node, stop));
        });
        Self { shutdown, thread: Some(thread) }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.cancel();
        // Its panic is in the output, and the test misses the operator soon enough.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

async fn run(listener: TcpListener, leaf: Arc<Leaf>, folder: PathBuf, node: &str, shutdown: CancellationToken) {
    let (mut source, first) = FileSource::open(&folder).unwrap();
    let hub = Hub::new(Engine::under(Policy::default()).with_defaults(IngressDefaults::default()).for_nodes());
    let (events, told) = mpsc::channel(64);
    let (streams, answers) = mpsc::unbounded_channel();
    let (synced, ready) = watch::channel(false);
    let (_never, leading) = watch::channel(false);
    let (_nobody, expected) = watch::channel(Some(BTreeSet::new()));
    let (_silent, again) = mpsc::unbounded_channel();
    let inputs = driver::Inputs { events: told, streams: answers, leading, expected, again };
    let machine = Machine(Local::new(pools()));
    let files = async {
        let mut next = Some(first);
        while let Some(batch) = next {
            for event in batch {
                events.send(event).await.unwrap();
            }
            next = source.next().await;
        }
    };
    let intents = async {
        driver::until_true(ready, &shutdown).await;
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let nodes = Nodes::new(Admission::Only(node.into()), streams);
        serve::serve(listener, leaf, hub.clone(), nodes, shutdown.clone()).await
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        // Who was told to end may end before it is asked here.
        ended = driver::run(hub.clone(), inputs, machine, synced, shutdown.clone()) => {
            assert!(shutdown.is_cancelled(), "{ended:?}");
        }
        ended = intents => assert!(shutdown.is_cancelled(), "{ended:?}"),
        () = files => panic!("the folder cannot be followed any more"),
    }
}

fn pools() -> Pools {
    let networks = |texts: [&str; 2]| texts.map(|text| text.parse().unwrap()).into();
    Pools {
        cluster: networks([address::SERVICES_V4, address::SERVICES_V6]),
        load_balancer: networks([address::BALANCERS_V4, address::BALANCERS_V6]),
        node_ports: 30_000..=32_767,
    }
}

struct Machine(Local);

impl World for Machine {
    fn apply(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        self.0.drive(engine, event)
    }

    fn write(&mut self, _: Vec<Write>) {}

    fn step_down(&mut self) {}

    fn problems(&mut self, _: &Engine, _: &ObjectKey, _: &ProblemChange, _: bool) {}

    fn changed(&mut self) {}
}
