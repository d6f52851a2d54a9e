//! Where the engine's results go in a cluster: the writer's queue, the Events of objects, and the watches of what they name.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Rest, driver::World};
use crate::{
    Changes, Engine, Kind, ObjectKey, ProblemChange, SourceEvent, Write,
    kube_source::named::Named,
    source::Name,
    webhook::classes::Classes,
    write::{
        Command,
        events::{News, tell},
    },
};

/// A node tries again after two seconds at most, and reaches another replica half of the time: after so long it is one in 100,000
/// that has not come. Nobody waits when all have.
const GATHERING: Duration = Duration::from_secs(30);
/// Kinds whose objects can name Secrets, and those that say which of them do.
const NAME_SECRETS: [Kind; 4] =
    [Kind::IngressClass, Kind::Ingress, Kind::CiliumEnvoyConfig, Kind::CiliumClusterwideEnvoyConfig];
/// Kinds whose objects can name ConfigMaps.
const NAME_CONFIG_MAPS: [Kind; 1] = [Kind::IngressClass];

/// Channels to the tasks that write.
#[derive(Debug)]
pub(super) struct Cluster {
    writes: mpsc::UnboundedSender<Command>,
    news: mpsc::Sender<News>,
    secrets: Naming,
    config_maps: Naming,
    classes: watch::Sender<Option<Classes>>,
    rest: Rest,
    node_grace: Duration,
}

/// What the watches of one kind are told.
#[derive(Debug)]
struct Naming {
    watches: mpsc::UnboundedSender<Named>,
    /// Kinds whose objects can name it.
    by: &'static [Kind],
    /// Whether it was told that all of those are known.
    all: bool,
}

impl Naming {
    fn tell(&mut self, named: BTreeMap<Name, bool>, engine: &Engine) {
        let changes =
            named.into_iter().map(|(it, wanted)| if wanted { Named::Wanted(it) } else { Named::Unwanted(it) });
        let all = !self.all && engine.is_synced(self.by);
        self.all |= all;
        for told in changes.chain(all.then_some(Named::All)) {
            // Without the watches the supervisor ends the process.
            let _ = self.watches.send(told);
        }
    }
}

impl Cluster {
    pub(super) fn new(
        writes: mpsc::UnboundedSender<Command>,
        news: mpsc::Sender<News>,
        secrets: mpsc::UnboundedSender<Named>,
        config_maps: mpsc::UnboundedSender<Named>,
        rest: Rest,
        node_grace: Duration,
    ) -> Self {
        let secrets = Naming { watches: secrets, by: &NAME_SECRETS, all: false };
        let config_maps = Naming { watches: config_maps, by: &NAME_CONFIG_MAPS, all: false };
        Self { writes, news, secrets, config_maps, classes: watch::Sender::new(None), rest, node_grace }
    }

    /// The classes that are ours, once they are known.
    pub(super) fn classes(&self) -> watch::Receiver<Option<Classes>> {
        self.classes.subscribe()
    }
}

impl World for Cluster {
    fn gathering(&self) -> Duration {
        GATHERING
    }

    fn node_grace(&self) -> Duration {
        self.node_grace
    }

    fn apply(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        let is_of_class = event.kind() == Kind::IngressClass;
        let mut changes = engine.apply(event);
        if changes.foreign {
            self.rest.saw_foreign();
        }
        if is_of_class {
            let ours = Some(engine.index().our_classes());
            self.classes.send_if_modified(|classes| std::mem::replace(classes, ours.clone()) != ours);
        }
        self.secrets.tell(std::mem::take(&mut changes.secrets), engine);
        self.config_maps.tell(std::mem::take(&mut changes.config_maps), engine);
        changes
    }

    /// What is written comes back by the watches.
    fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            // Without a writer the supervisor ends the process.
            let _ = self.writes.send(Command::Write(write));
        }
    }

    fn step_down(&mut self) {
        let _ = self.writes.send(Command::Clear);
    }

    fn problems(&mut self, engine: &Engine, object: &ObjectKey, change: &ProblemChange, standing: bool) {
        for problem in &change.added {
            let uid = engine.uid(object).map(str::to_owned);
            tell(&self.news, News { object: object.clone(), uid, what: problem.into(), standing });
        }
    }

    fn changed(&mut self) {}
}

#[cfg(test)]
mod tests {
    use axoneme_api::names;
    use k8s_openapi::{api::networking::v1 as networking, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;
    use crate::Object;

    /// What one watch was told.
    fn told(watch: &mut mpsc::UnboundedReceiver<Named>) -> Vec<Named> {
        std::iter::from_fn(|| watch.try_recv().ok()).collect()
    }

    #[test]
    fn what_is_named_is_all_known_when_every_kind_that_can_name_it_was_listed() {
        let (writes, _writer) = mpsc::unbounded_channel();
        let (news, _events) = mpsc::channel(1);
        let (secrets, mut of_secrets) = mpsc::unbounded_channel();
        let (config_maps, mut of_maps) = mpsc::unbounded_channel();
        let (mut cluster, mut engine) =
            (Cluster::new(writes, news, secrets, config_maps, Rest::default(), Duration::ZERO), Engine::new());
        for kind in [Kind::Service, Kind::CiliumEnvoyConfig, Kind::CiliumClusterwideEnvoyConfig, Kind::IngressClass] {
            assert_eq!((told(&mut of_secrets), told(&mut of_maps)), (Vec::new(), Vec::new()), "before {kind}");
            cluster.apply(&mut engine, SourceEvent::reset(kind, Vec::new()));
        }
        // An Ingress may still name a certificate: nodes must not be told that there is none.
        assert_eq!((told(&mut of_secrets), told(&mut of_maps)), (Vec::new(), vec![Named::All]));
        cluster.apply(&mut engine, SourceEvent::reset(Kind::Ingress, Vec::new()));
        cluster.apply(&mut engine, SourceEvent::reset(Kind::Ingress, Vec::new()));
        assert_eq!((told(&mut of_secrets), told(&mut of_maps)), (vec![Named::All], Vec::new()));
    }

    #[test]
    fn classes_that_are_ours_are_told_when_they_change() {
        let (writes, _writer) = mpsc::unbounded_channel();
        let (news, _events) = mpsc::channel(1);
        let (secrets, _of_secrets) = mpsc::unbounded_channel();
        let (config_maps, _of_maps) = mpsc::unbounded_channel();
        let mut cluster = Cluster::new(writes, news, secrets, config_maps, Rest::default(), Duration::ZERO);
        let (mut engine, mut classes) = (Engine::new(), cluster.classes());
        let class = |name: &str, controller: &str, is_default: bool| {
            let default = [(names::DEFAULT_CLASS_ANNOTATION.to_owned(), is_default.to_string())];
            let metadata =
                ObjectMeta { name: Some(name.to_owned()), annotations: Some(default.into()), ..ObjectMeta::default() };
            let spec = networking::IngressClassSpec { controller: Some(controller.to_owned()), parameters: None };
            Object::IngressClass((&networking::IngressClass { metadata, spec: Some(spec) }).into())
        };
        let ours = |classes: &mut watch::Receiver<Option<Classes>>| {
            let is_news = classes.has_changed().unwrap();
            is_news.then(|| classes.borrow_and_update().clone().unwrap().into_iter().collect::<Vec<_>>())
        };
        assert_eq!(ours(&mut classes), None);
        let [axoneme, cilium] = names::INGRESS_CONTROLLERS;
        let listed = vec![class("b", axoneme, false), class("x", "k8s.io/ingress-nginx", true)];
        cluster.apply(&mut engine, SourceEvent::reset(Kind::IngressClass, listed));
        assert_eq!(ours(&mut classes).unwrap(), ["b"]);
        cluster.apply(&mut engine, SourceEvent::Apply(class("y", "k8s.io/ingress-nginx", false)));
        assert_eq!(ours(&mut classes), None, "another's class is no news");
        cluster.apply(&mut engine, SourceEvent::Delete(ObjectKey::new(Kind::IngressClass, "", "x")));
        cluster.apply(&mut engine, SourceEvent::Apply(class("a", cilium, true)));
        assert_eq!(ours(&mut classes).unwrap(), ["", "a", "b"]);
    }
}
