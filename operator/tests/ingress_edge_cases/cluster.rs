//! A cluster that does what the engine wants written, as an API server and a load balancer would, and counts it.

use std::collections::BTreeMap;

use axoneme_operator::model::IngressDefaults;
use axoneme_operator::source::{Ingress, LoadBalancerAddress};
use axoneme_operator::{Changes, Engine, Kind, Name, Object, ObjectKey, SourceEvent, Write};

use crate::support;
use crate::world::WEB;

/// Classes and the Service that every Ingress here can do with.
pub(crate) const CLASS: &str = "\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: cilium}\nspec: \
                                {controller: cilium.io/ingress-controller}\n";
/// More writes for one event are a loop.
const LOOP: usize = 10_000;

pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    defaults: IngressDefaults,
    objects: BTreeMap<ObjectKey, Object>,
    /// What was written, in order.
    pub(crate) written: Vec<Write>,
    /// Everything else that the engine told.
    pub(crate) told: Changes,
    /// What load balancers say of the addresses that they give.
    balancer: fn(&Name) -> Vec<LoadBalancerAddress>,
}

/// An address that follows from the name.
fn address(service: &Name) -> Vec<LoadBalancerAddress> {
    let sum: usize = service.to_string().bytes().map(usize::from).sum();
    vec![LoadBalancerAddress::ip(format!("192.0.2.{}", sum % 250 + 1))]
}

impl Cluster {
    /// A cluster with what a text says, beside [`CLASS`] and [`WEB`].
    pub(crate) fn new(text: &str) -> Self {
        Self::with(IngressDefaults::default(), address, &[CLASS, text, WEB].concat())
    }

    pub(crate) fn with(defaults: IngressDefaults, balancer: fn(&Name) -> Vec<LoadBalancerAddress>, text: &str) -> Self {
        let objects = support::applies(&support::text(text)).into_iter().filter_map(|event| match event {
            SourceEvent::Apply(object) => Some((object.key(), object)),
            _ => None,
        });
        let (engine, written, told) = (Engine::new(), Vec::new(), Changes::default());
        let mut cluster = Self { engine, defaults, objects: objects.collect(), written, told, balancer };
        cluster.restart();
        cluster
    }

    /// The operator starts anew.
    pub(crate) fn restart(&mut self) {
        self.engine = Engine::new().with_defaults(self.defaults.clone());
        self.engine.expect_nodes(["a", "b"].map(Into::into).into());
        self.relist();
    }

    /// Every watch begins anew.
    pub(crate) fn relist(&mut self) {
        for kind in Kind::ALL {
            let objects = self.objects.values().filter(|object| object.key().kind == kind).cloned().collect();
            self.event(SourceEvent::reset(kind, objects));
        }
    }

    /// Somebody applies the objects of a text. Of an Ingress its status stays.
    pub(crate) fn apply(&mut self, text: &str) {
        for event in support::applies(&support::text(text)) {
            let SourceEvent::Apply(mut object) = event else { continue };
            let old = self.objects.get(&object.key());
            if let (Object::Ingress(new), Some(Object::Ingress(old))) = (&mut object, old) {
                new.load_balancer.clone_from(&old.load_balancer);
                new.shows_ours = old.shows_ours;
            }
            self.put(object);
        }
    }

    pub(crate) fn put(&mut self, object: Object) {
        self.objects.insert(object.key(), object.clone());
        self.event(SourceEvent::Apply(object));
    }

    /// Changes an object while the operator is down: it hears of nothing.
    pub(crate) fn put_unseen(&mut self, object: Object) {
        self.objects.insert(object.key(), object);
    }

    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let key = ObjectKey::new(kind, namespace, name);
        self.objects.remove(&key);
        self.event(SourceEvent::Delete(key));
    }

    pub(crate) fn ingress(&self, name: &str) -> Ingress {
        match self.objects.get(&ObjectKey::new(Kind::Ingress, "shop", name)) {
            Some(Object::Ingress(ingress)) => ingress.clone(),
            other => panic!("no Ingress {name}: {other:?}"),
        }
    }

    /// What the status of an Ingress shows.
    pub(crate) fn shown(&self, name: &str) -> Vec<String> {
        self.ingress(name).load_balancer.iter().map(ToString::to_string).collect()
    }

    /// Kinds of the objects that the operator wrote and that are there.
    pub(crate) fn own(&self, name: &str) -> Vec<Kind> {
        let own = Name::new("shop", &format!("cilium-ingress-{name}"));
        self.objects.keys().filter(|key| key.name == own).map(|key| key.kind).collect()
    }

    /// What was written since the last call.
    pub(crate) fn news(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.written)
    }

    fn event(&mut self, event: SourceEvent) {
        let mut changes = self.engine.apply(event);
        let mut writes = std::mem::take(&mut changes.writes);
        self.told.merge(changes);
        let mut count = 0;
        while !writes.is_empty() {
            let write = writes.remove(0);
            count += 1;
            assert!(count < LOOP, "it writes for ever: {write:?}");
            let events = self.perform(&write);
            self.written.push(write);
            for event in events {
                let mut changes = self.engine.apply(event);
                writes.append(&mut changes.writes);
                self.told.merge(changes);
            }
        }
    }

    fn perform(&mut self, write: &Write) -> Vec<SourceEvent> {
        let object = match write {
            Write::Service(service) => {
                let mut stored = service.to_object();
                let spec = stored.spec.get_or_insert_default();
                spec.cluster_ip = Some("10.96.0.9".to_owned());
                if spec.type_.as_deref() != Some("ClusterIP") {
                    for (port, given) in spec.ports.iter_mut().flatten().zip([30_001, 30_002]) {
                        port.node_port.get_or_insert(given);
                    }
                }
                let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
                let mut service = axoneme_operator::source::Service::from(&stored);
                service.load_balancer = if is_balanced { (self.balancer)(&service.meta.name) } else { Vec::new() };
                Object::Service(service)
            }
            Write::EndpointSlice(slice) => Object::EndpointSlice((&slice.to_object()).into()),
            Write::DeleteService(name) => return self.deleted(Kind::Service, name),
            Write::DeleteEndpointSlice(name) => return self.deleted(Kind::EndpointSlice, name),
            Write::IngressStatus { ingress, addresses } => {
                let mut shown = self.ingress(&ingress.name);
                shown.load_balancer.clone_from(addresses);
                shown.shows_ours = true;
                Object::Ingress(shown)
            }
            Write::ClearIngressStatus(ingress) => {
                let mut shown = self.ingress(&ingress.name);
                if std::mem::take(&mut shown.shows_ours) {
                    shown.load_balancer.clear();
                }
                Object::Ingress(shown)
            }
            Write::ConfigStatus { .. } => return Vec::new(),
        };
        self.objects.insert(object.key(), object.clone());
        vec![SourceEvent::Apply(object)]
    }

    fn deleted(&mut self, kind: Kind, name: &Name) -> Vec<SourceEvent> {
        let key = ObjectKey { kind, name: name.clone() };
        let gone = self.objects.remove(&key);
        assert!(gone.is_some(), "{key} is deleted twice");
        vec![SourceEvent::Delete(key)]
    }
}
