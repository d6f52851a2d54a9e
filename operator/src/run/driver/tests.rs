//! What reaches the world: nothing before every kind is listed, writes only while this replica leads, one status for many
//! answers.

use std::sync::Arc;

use axoneme_xds::{Outcome, grpc};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    Name, Object, Target,
    source::{Annotation, Backend, EnvoyConfig, Ingress, IngressClass, Meta, Node, Service},
};

/// What the world was told, and how long its nodes take.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Notes>>, Duration);

#[derive(Debug, Default)]
struct Notes {
    writes: Vec<Target>,
    problems: Vec<ObjectKey>,
    /// Of each of these, whether it may have been told before.
    standing: Vec<bool>,
    steps_down: usize,
}

impl World for Seen {
    fn gathering(&self) -> Duration {
        self.1
    }

    fn write(&mut self, writes: Vec<Write>) {
        self.0.lock().writes.extend(writes.iter().map(Write::target));
    }

    fn step_down(&mut self) {
        self.0.lock().steps_down += 1;
    }

    fn problems(&mut self, _: &Engine, object: &ObjectKey, _: &ProblemChange, standing: bool) {
        let mut notes = self.0.lock();
        notes.problems.push(object.clone());
        notes.standing.push(standing);
    }

    fn changed(&mut self) {}
}

struct Bench {
    seen: Seen,
    events: mpsc::Sender<SourceEvent>,
    streams: mpsc::UnboundedSender<Heard>,
    leading: watch::Sender<bool>,
    expected: watch::Sender<Expected>,
    again: mpsc::UnboundedSender<()>,
    synced: watch::Receiver<bool>,
    _driver: JoinHandle<Result<(), InputEnded>>,
}

impl Bench {
    fn start(leads: bool) -> Self {
        Self::with(leads, Seen::default())
    }

    fn with(leads: bool, seen: Seen) -> Self {
        let (events, told) = mpsc::channel(16);
        let (streams, answers) = mpsc::unbounded_channel();
        let (leading, leads) = watch::channel(leads);
        let (expected, loaders) = watch::channel(None);
        let (again, retold) = mpsc::unbounded_channel();
        let (sync, synced) = watch::channel(false);
        let inputs = Inputs { events: told, streams: answers, leading: leads, expected: loaders, again: retold };
        let driver = run(Hub::new(Engine::new()), inputs, seen.clone(), sync, CancellationToken::new());
        Self { seen, events, streams, leading, expected, again, synced, _driver: tokio::spawn(driver) }
    }

    /// Lists every kind; an Ingress without its Service is there when asked for, and one Envoy config that takes nothing.
    async fn list(&self, kinds: &[Kind]) {
        for kind in kinds {
            let objects = match kind {
                Kind::IngressClass => vec![Object::IngressClass(class())],
                Kind::Ingress => vec![Object::Ingress(ingress())],
                Kind::CiliumEnvoyConfig => vec![Object::EnvoyConfig(config())],
                Kind::Node => vec![Object::Node(Node::new(Meta::named("", "n"), Default::default(), None))],
                _ => Vec::new(),
            };
            self.events.send(SourceEvent::reset(*kind, objects)).await.unwrap();
        }
    }

    /// The channel holds 16 events: when all 16 of these are taken, those before have been seen.
    async fn all_taken(&self) {
        for _ in 0..20 {
            self.events.send(SourceEvent::Delete(ObjectKey::new(Kind::Node, "", "none"))).await.unwrap();
        }
    }

    async fn wait(&self, enough: impl Fn(&Notes) -> bool) {
        let wait = async {
            while !enough(&self.seen.0.lock()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(waited.is_ok(), "{:?}", self.seen);
    }

    fn statuses(&self) -> usize {
        self.seen.0.lock().writes.iter().filter(|target| matches!(target, Target::ConfigStatus(_))).count()
    }
}

fn class() -> IngressClass {
    let controller = axoneme_api::names::INGRESS_CONTROLLERS[0].to_owned();
    IngressClass { meta: Meta::named("", "axoneme"), controller, default: None, parameters: None }
}

fn ingress() -> Ingress {
    let manifest = serde_json::json!({
        "metadata": { "namespace": "default", "name": "web" },
        "spec": { "ingressClassName": "axoneme", "defaultBackend": { "service": { "name": "gone", "port": { "number": 80 } } } },
    });
    let object: k8s_openapi::api::networking::v1::Ingress = serde_json::from_value(manifest).unwrap();
    (&object).into()
}

fn config() -> EnvoyConfig {
    let manifest = serde_json::json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEnvoyConfig",
        "metadata": { "namespace": "default", "name": "lb" },
        "spec": { "resources": [{
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "routes",
        }] },
    });
    let object: axoneme_api::cec::CiliumEnvoyConfig = serde_json::from_value(manifest).unwrap();
    (&object).into()
}

#[tokio::test]
async fn what_is_not_listed_yet_is_nobodys_problem() {
    let bench = Bench::start(true);
    bench.list(&Kind::ALL[..4]).await;
    bench.all_taken().await;
    assert!(bench.seen.0.lock().problems.is_empty());
    assert!(!*bench.synced.borrow());
    bench.list(&Kind::ALL[4..]).await;
    bench.wait(|notes| !notes.problems.is_empty()).await;
    assert_eq!(bench.seen.0.lock().problems, [ObjectKey::new(Kind::Ingress, "default", "web")]);
    assert!(*bench.synced.borrow());
}

#[tokio::test]
async fn only_the_replica_that_leads_writes_and_a_new_one_writes_what_is_outstanding() {
    let mut bench = Bench::start(false);
    bench.list(&Kind::ALL).await;
    bench.synced.wait_for(|synced| *synced).await.unwrap();
    assert!(bench.seen.0.lock().writes.is_empty());
    bench.leading.send_replace(true);
    let service = Target::Service(Name::new("default", "cilium-ingress-web"));
    bench.wait(|notes| notes.writes.contains(&service) && !notes.problems.is_empty()).await;
    bench.leading.send_replace(false);
    bench.wait(|notes| notes.steps_down == 1).await;
}

/// Which of two inputs is looked at first is up to chance: it must not matter.
#[tokio::test]
async fn a_new_leader_knows_what_was_told_before() {
    for _ in 0..20 {
        let mut bench = Bench::start(false);
        bench.list(&Kind::ALL).await;
        bench.synced.wait_for(|synced| *synced).await.unwrap();
        bench.all_taken().await;
        bench.events.try_send(SourceEvent::Delete(ObjectKey::new(Kind::Ingress, "default", "web"))).unwrap();
        bench.leading.send_replace(true);
        bench.wait(has_status).await;
        let service = Target::Service(Name::new("default", "cilium-ingress-web"));
        assert!(!bench.seen.0.lock().writes.contains(&service), "its Ingress was gone before");
    }
}

#[tokio::test]
async fn a_new_leader_says_what_stands_and_after_that_what_is_new() {
    let mut bench = Bench::start(false);
    bench.list(&Kind::ALL).await;
    bench.synced.wait_for(|synced| *synced).await.unwrap();
    bench.leading.send_replace(true);
    bench.wait(|notes| notes.standing == [true]).await;
    let mut edited = ingress();
    edited.default_backend = Some(Backend::Missing);
    bench.events.send(SourceEvent::Apply(Object::Ingress(edited))).await.unwrap();
    bench.wait(|notes| notes.standing == [true, false]).await;
}

#[tokio::test]
async fn nodes_that_get_a_loader_are_shown_by_ingresses_with_node_ports() {
    let bench = Bench::start(true);
    let annotation = Annotation { key: "service-type".to_owned(), value: "NodePort".to_owned() };
    let mut wanted = ingress();
    wanted.options.insert("service-type".to_owned(), annotation);
    bench.list(&Kind::ALL).await;
    bench.events.send(SourceEvent::Apply(Object::Ingress(wanted))).await.unwrap();
    bench.events.send(SourceEvent::Apply(Object::Node(node()))).await.unwrap();
    bench.events.send(SourceEvent::Apply(Object::Service(service()))).await.unwrap();
    bench.all_taken().await;
    let status = Target::IngressStatus(Name::new("default", "web"));
    assert!(!bench.seen.0.lock().writes.contains(&status), "nobody knows which nodes serve");
    bench.expected.send_replace(expects("n"));
    bench.wait(|notes| notes.writes.contains(&status)).await;
}

/// A node with an address.
fn node() -> Node {
    let manifest = serde_json::json!({
        "metadata": { "name": "n" },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "10.0.0.7" }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    });
    let object: k8s_openapi::api::core::v1::Node = serde_json::from_value(manifest).unwrap();
    (&object).into()
}

/// The Service of the Ingress.
fn service() -> Service {
    let manifest = serde_json::json!({
        "metadata": { "namespace": "default", "name": "cilium-ingress-web", "labels": { "cilium.io/ingress": "true" } },
        "spec": { "type": "NodePort", "ports": [] },
    });
    let object: k8s_openapi::api::core::v1::Service = serde_json::from_value(manifest).unwrap();
    (&object).into()
}

fn has_status(notes: &Notes) -> bool {
    notes.writes.iter().any(|target| matches!(target, Target::ConfigStatus(_)))
}

fn expects(node: &str) -> Expected {
    Some([node.into()].into())
}

#[tokio::test]
async fn statuses_wait_for_the_nodes_of_a_new_leader_but_not_for_ever() {
    for expected in [None, expects("n")] {
        let start = async |gathering| {
            let bench = Bench::with(false, Seen(Arc::default(), gathering));
            bench.expected.send_replace(expected.clone());
            bench.list(&Kind::ALL).await;
            bench.leading.send_replace(true);
            bench
        };
        let patient = start(Duration::from_secs(3600)).await;
        tokio::time::sleep(STATUS_PAUSE * 2).await;
        assert_eq!(patient.statuses(), 0);
        start(STATUS_PAUSE * 2).await.wait(has_status).await;
    }
}

#[tokio::test]
async fn statuses_do_not_wait_when_every_node_has_come() {
    let bench = Bench::with(true, Seen(Arc::default(), Duration::from_secs(3600)));
    bench.expected.send_replace(expects("n"));
    bench.list(&Kind::ALL).await;
    bench.streams.send(Heard::Stream(grpc::Event::Opened { stream: 1, subscriber: "n".into() })).unwrap();
    bench.wait(has_status).await;
    // What it was told once it is told again when the writer asks for that.
    let before = bench.statuses();
    bench.again.send(()).unwrap();
    bench.wait(|notes| notes.writes.len() > before).await;
}

#[tokio::test]
async fn many_answers_make_one_status() {
    let bench = Bench::start(true);
    bench.list(&Kind::ALL).await;
    bench.wait(has_status).await;
    assert_eq!(bench.statuses(), 1);
    for stream in 0..50 {
        let subscriber: Arc<str> = format!("node-{stream}").into();
        bench.streams.send(Heard::Stream(grpc::Event::Opened { stream, subscriber: subscriber.clone() })).unwrap();
        let outcome = Outcome::Acked {
            type_url: axoneme_xds::type_urls::ROUTE.into(),
            name: "default/lb/routes".into(),
            version: Some("v".into()),
        };
        bench.streams.send(Heard::Stream(grpc::Event::Outcome { stream, subscriber, outcome })).unwrap();
    }
    let statuses = |notes: &Notes| notes.writes.iter().filter(|it| matches!(it, Target::ConfigStatus(_))).count();
    bench.wait(|notes| statuses(notes) == 2).await;
    tokio::time::sleep(STATUS_PAUSE * 2).await;
    assert_eq!(bench.statuses(), 2);
}
