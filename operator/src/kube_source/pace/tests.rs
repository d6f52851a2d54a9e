//! Who rests and who does not; nobody leads with something unread.

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::Service;
use kube::runtime::watcher;
use tokio::sync::mpsc;

use super::*;
use crate::{
    kube_source::{Guard, Relay, watch},
    metrics::http::Readiness,
    source::{IngressClass, Meta, Name, Node, Object, ObjectKey, PackedIngress},
};

const LIMIT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3600);

fn attention(leading: &watch::Sender<bool>) -> Attention {
    Attention { standing_by: LONG, ..Attention::new(leading.subscribe()) }
}

fn ingress(class: &str) -> SourceEvent {
    let text = format!(r#"{{"metadata":{{"namespace":"shop","name":"web"}},"spec":{{"ingressClassName":"{class}"}}}}"#);
    let (ingress, _) = PackedIngress::read(&mut serde_json::Deserializer::from_str(&text)).unwrap();
    SourceEvent::Apply(Object::PackedIngress(ingress))
}

#[test]
fn a_watch_rests_where_nobody_waits() {
    let node = SourceEvent::Apply(Object::Node(Node::new(Meta::named("", "n"), Default::default(), None)));
    let class =
        IngressClass { meta: Meta::named("", "ours"), controller: String::new(), default: None, parameters: None };
    let gone = SourceEvent::Delete(ObjectKey::new(Kind::Ingress, "shop", "web"));
    let listed = SourceEvent::reset(Kind::Ingress, Vec::new());
    let class = SourceEvent::Apply(Object::IngressClass(class));
    // By what was read last: standing by, and leading.
    let cases = [
        (ingress("ours"), [true, false]),
        (ingress("theirs"), [true, false]),
        (node, [true, false]),
        (gone, [true, false]),
        (class, [false, false]),
        (listed, [false, false]),
    ];
    for (event, rests) in cases {
        let leading = watch::Sender::new(false);
        let mut pace = Pace::new(attention(&leading));
        let seen = [false, true].map(|leads| {
            leading.send_replace(leads);
            pace.saw(&event);
            pace.rests
        });
        assert_eq!(seen, rests, "{event:?}");
    }
}

/// A replica with one watch.
struct Replica {
    leading: watch::Sender<bool>,
    leads: watch::Receiver<bool>,
    resting: watch::Receiver<usize>,
    server: UnboundedSender<watcher::Result<watcher::Event<Guard<Service>>>>,
    engine: mpsc::Receiver<SourceEvent>,
}

impl Replica {
    fn start() -> Self {
        let leading = watch::Sender::new(false);
        let attention = attention(&leading);
        let (leader, leads) = watch::channel(false);
        let (server, changes) = unbounded();
        let (events, engine) = mpsc::channel(16);
        let (pace, resting) = (Pace::new(attention.clone()), attention.resting.subscribe());
        let relay = Relay::new(Kind::Service, Readiness::default().gate("Service"));
        // One by one, as a connection has them, and not all at the first look.
        let changes = changes.then(async |change| {
            tokio::task::yield_now().await;
            change
        });
        tokio::spawn(watch(changes, |it: &Service| Object::Service(it.into()), relay, pace, events));
        tokio::spawn(attention.follow(leader, CancellationToken::new()));
        Self { leading, leads, resting, server, engine }
    }

    fn change(&self, name: &str) {
        let mut service = Service::default();
        service.metadata.name = Some(name.to_owned());
        self.server.unbounded_send(Ok(watcher::Event::Apply(Guard(Ok(service))))).unwrap();
    }

    async fn told(&mut self) -> Name {
        match timeout(LIMIT, self.engine.recv()).await.unwrap().unwrap() {
            SourceEvent::Apply(object) => object.key().name,
            other => panic!("{other:?}"),
        }
    }

    async fn is_at_rest(&mut self) {
        timeout(LIMIT, self.resting.wait_for(|watches| *watches == 1)).await.unwrap().unwrap();
    }

    async fn leads(&mut self, leads: bool) {
        timeout(LIMIT, self.leads.wait_for(|now| *now == leads)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_takes_over_has_read_everything_that_had_come() {
    let mut replica = Replica::start();
    replica.change("first");
    assert_eq!(&*replica.told().await.name, "first");
    replica.is_at_rest().await;
    let names = ["a", "b", "c"];
    names.into_iter().for_each(|name| replica.change(name));
    assert!(timeout(Duration::from_millis(50), replica.engine.recv()).await.is_err(), "it rests for an hour");

    replica.leading.send_replace(true);
    replica.leads(true).await;
    for name in names {
        let told = replica.engine.try_recv().ok().map(|event| event.kind());
        assert_eq!(told, Some(Kind::Service), "{name} was not read when the engine was told to lead");
    }
    replica.change("last");
    assert_eq!(&*replica.told().await.name, "last");
    replica.leading.send_replace(false);
    replica.leads(false).await;
}

#[tokio::test]
async fn nothing_to_read_holds_nobody_up() {
    let mut replica = Replica::start();
    replica.leading.send_replace(true);
    replica.leads(true).await;
}
