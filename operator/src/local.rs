//! What Kubernetes and its load balancer do for a mesh without Kubernetes: give addresses to Services, keep what the
//! engine writes. Pure: an address follows from the Service's name, so it is the same after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_api::names;

use crate::engine::{Changes, DummySlice, Engine, IngressService, Write};
use crate::source::{
    Endpoint, EndpointSlice, Ingress, IngressClass, Kind, LoadBalancerAddress, Meta, Name, Object, ObjectKey, Protocol,
    Service, SlicePort, SourceEvent, Written,
};

mod pool;

pub use pool::{Exhausted, Network, Pools};

use pool::Allocator;

/// IngressClasses that are there without being written: those of the chart.
const BUILT_IN_CLASSES: [(&str, &str); 2] =
    [("axoneme", names::INGRESS_CONTROLLERS[0]), ("cilium", names::INGRESS_CONTROLLERS[1])];

/// The stand-in for a cluster. See the module's text.
#[derive(Debug)]
pub struct Local {
    allocator: Allocator,
    /// Services that the engine wrote.
    written: BTreeMap<Name, Service>,
    /// Ingresses with the status that the engine wrote.
    ingresses: BTreeMap<Name, Ingress>,
}

impl Local {
    /// A cluster that gives addresses out of these pools.
    #[must_use]
    pub fn new(pools: Pools) -> Self {
        Self { allocator: Allocator::new(pools), written: BTreeMap::new(), ingresses: BTreeMap::new() }
    }

    /// Hands an event of the source to the engine, and everything that the engine writes back to it, until it is content.
    ///
    /// A pool that is exhausted leaves a Service without an address and is told in the log.
    pub fn drive(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        let mut all = engine.apply(self.complete(event));
        // Who names a Secret is told that there is none, as the API server would.
        let wanted = all.secrets.iter().filter(|(name, wanted)| **wanted && engine.index().secret(name).is_none());
        let secrets = wanted.map(|(name, _)| ObjectKey { kind: Kind::Secret, name: name.clone() });
        let mut absent: Vec<_> = secrets.collect();
        // The same goes for what classes name.
        let maps = all.config_maps.iter().filter(|(_, wanted)| **wanted);
        let maps = maps.map(|(name, _)| ObjectKey { kind: Kind::ConfigMap, name: name.clone() });
        let held = engine.index().keys(Kind::ConfigMap);
        absent.extend(maps.filter(|map| !held.contains(map)));
        for missing in absent {
            all.merge(engine.apply(SourceEvent::Delete(missing)));
        }
        let mut writes = std::mem::take(&mut all.writes);
        while let Some(write) = writes.pop() {
            if let Some(event) = self.write(&write) {
                let mut changes = engine.apply(event);
                writes.append(&mut changes.writes);
                all.merge(changes);
            }
        }
        all
    }

    /// Adds to an event of the source what a cluster would have added.
    pub fn complete(&mut self, event: SourceEvent) -> SourceEvent {
        match event {
            SourceEvent::Apply(Object::Service(service)) => {
                SourceEvent::Apply(Object::Service(self.addressed(service)))
            }
            SourceEvent::Apply(Object::Ingress(ingress)) => SourceEvent::Apply(Object::Ingress(self.shown(ingress))),
            SourceEvent::Delete(key) if key.kind == Kind::Ingress => {
                self.ingresses.remove(&key.name);
                SourceEvent::Delete(key)
            }
            SourceEvent::Delete(key) if key.kind == Kind::Service => {
                self.allocator.release(&key.name);
                SourceEvent::Delete(key)
            }
            SourceEvent::Delete(key) if key.kind == Kind::IngressClass => match built_in_class(&key.name.name) {
                Some(class) => SourceEvent::Apply(Object::IngressClass(class)),
                None => SourceEvent::Delete(key),
            },
            SourceEvent::Reset { kind, objects, unreadable } => {
                SourceEvent::Reset { kind, objects: self.reset(kind, objects), unreadable }
            }
            other => other,
        }
    }

    fn reset(&mut self, kind: Kind, mut objects: Vec<Object>) -> Vec<Object> {
        let named: BTreeSet<ObjectKey> = objects.iter().map(Object::key).collect();
        match kind {
            Kind::IngressClass => {
                let classes = BUILT_IN_CLASSES.iter().filter_map(|(name, _)| built_in_class(name));
                objects.extend(classes.map(Object::IngressClass).filter(|class| !named.contains(&class.key())));
            }
            Kind::Service => {
                // What is written out comes first, so that no Service is given an address that another one asks for.
                objects.iter().for_each(|object| self.allocator.reserve(object));
                let complete = |object| match object {
                    Object::Service(service) => Object::Service(self.addressed(service)),
                    other => other,
                };
                objects = objects.into_iter().map(complete).collect();
                objects.extend(self.written.values().cloned().map(Object::Service));
            }
            Kind::Ingress => {
                self.ingresses.retain(|name, _| named.contains(&ObjectKey { kind, name: name.clone() }));
                let complete = |object| match object {
                    Object::Ingress(ingress) => Object::Ingress(self.shown(ingress)),
                    other => other,
                };
                objects = objects.into_iter().map(complete).collect();
            }
            _ => {}
        }
        objects
    }

    /// An Ingress as written, with the status that it has.
    fn shown(&mut self, mut ingress: Ingress) -> Ingress {
        if let Some(before) = self.ingresses.get(&ingress.meta.name) {
            ingress.load_balancer.clone_from(&before.load_balancer);
        }
        self.ingresses.insert(ingress.meta.name.clone(), ingress.clone());
        ingress
    }

    /// The status of an Ingress, which the engine looks at when an Ingress moves to another address.
    fn show(&mut self, name: &Name, addresses: &[LoadBalancerAddress]) -> Option<SourceEvent> {
        let ingress = self.ingresses.get_mut(name)?;
        ingress.load_balancer = addresses.to_vec();
        Some(SourceEvent::Apply(Object::Ingress(ingress.clone())))
    }

    /// Does what a cluster would do with a write. Statuses of Envoy configs have no reader here.
    pub fn write(&mut self, write: &Write) -> Option<SourceEvent> {
        match write {
            Write::Service(wanted) => {
                let service = self.addressed(service(wanted));
                self.written.insert(wanted.name.clone(), service.clone());
                Some(SourceEvent::Apply(Object::Service(service)))
            }
            Write::EndpointSlice(wanted) => Some(SourceEvent::Apply(Object::EndpointSlice(slice(wanted)))),
            Write::DeleteService(name) => {
                self.written.remove(name);
                self.allocator.release(name);
                Some(SourceEvent::Delete(ObjectKey { kind: Kind::Service, name: name.clone() }))
            }
            Write::DeleteEndpointSlice(name) => {
                Some(SourceEvent::Delete(ObjectKey { kind: Kind::EndpointSlice, name: name.clone() }))
            }
            Write::IngressStatus { ingress, addresses } => self.show(ingress, addresses),
            Write::ClearIngressStatus(ingress) => self.show(ingress, &[]),
            Write::ConfigStatus { .. } => None,
        }
    }

    /// Gives a Service the addresses and node ports that it has none of.
    fn addressed(&mut self, mut service: Service) -> Service {
        if let Err(Exhausted { pool }) = self.allocator.complete(&mut service) {
            tracing::warn!(service = %service.meta.name, pool, "no address is left in the pool");
        }
        service
    }
}

fn built_in_class(name: &str) -> Option<IngressClass> {
    let (name, controller) = BUILT_IN_CLASSES.iter().find(|(class, _)| *class == name)?;
    Some(IngressClass {
        meta: Meta::named("", name),
        controller: (*controller).to_owned(),
        default: None,
        parameters: None,
    })
}

fn service(wanted: &IngressService) -> Service {
    Service {
        meta: Meta::named(&wanted.name.namespace, &wanted.name.name),
        type_: wanted.options.type_.into(),
        cluster_ips: Vec::new(),
        headless: false,
        is_ipv6_first: false,
        external_ips: Vec::new(),
        load_balancer: Vec::<LoadBalancerAddress>::new(),
        source_ranges: wanted.ranges().unwrap_or_default(),
        keeps_clients: false,
        ports: wanted.ports().collect(),
        has_selector: false,
        is_ingress: true,
        written: Written {
            annotations: wanted.annotations(),
            labels: wanted.labels(),
            class: wanted.options.class.clone(),
            local_traffic_only: wanted.options.local_traffic_only,
            local_clients_only: wanted.options.local_traffic_only,
        },
    }
}

fn slice(wanted: &DummySlice) -> EndpointSlice {
    let endpoint = |(address, node): (_, Option<Arc<str>>)| Endpoint {
        addresses: vec![address],
        ready: true,
        node: node.unwrap_or_default(),
        ..Endpoint::default()
    };
    let (_, port) = names::DUMMY_ENDPOINT;
    let ports = DummySlice::ports().map(|name| SlicePort { name: name.to_owned(), port, protocol: Protocol::Tcp });
    EndpointSlice {
        meta: Meta::named(&wanted.name.namespace, &wanted.name.name),
        service: wanted.name.name.to_string(),
        endpoints: wanted.endpoints().into_iter().map(endpoint).collect(),
        ports: ports.collect(),
        is_ingress: true,
    }
}

#[cfg(test)]
mod tests;
