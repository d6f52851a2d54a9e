//! The heart of the control plane: objects in, node views and writes out. One step per event, no clock, no I/O.
//!
//! `index` knows the objects, `translate` says what they mean, [`Intents`] holds what nodes are told. The engine decides
//! what to look at again, so that an edit costs what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_envoy::Policy;
use axoneme_xds::{View, grpc::Views};

use crate::index::{Affected, Index};
use crate::intents::{Delta, Intents, Rank, service_owner};
use crate::model::IngressDefaults;
use crate::problem::Problem;
use crate::source::{Kind, Name, Object, ObjectKey, SourceEvent, Unreadable};

mod around;
mod changes;
mod demand;
mod desired;
mod modules;
mod outstanding;
mod progress;
mod report;
mod shared;
pub mod status;
mod translation;
pub mod writes;

pub use changes::{Changes, ProblemChange};
pub use report::Report;
pub use status::{ConditionDraft, ConfigStatus, ProgrammedReason};
pub use writes::{DummySlice, IngressService, Owner, Target, Write};

use demand::Demand;
use shared::SharedMode;
use translation::State;
use writes::Pending;

/// Kinds that must have been listed before anything is written: what is not known yet must not look like deleted.
const NEEDED_FOR_WRITES: [Kind; 8] = [
    Kind::Node,
    Kind::ConfigMap,
    Kind::IngressClass,
    Kind::Ingress,
    Kind::CiliumEnvoyConfig,
    Kind::CiliumClusterwideEnvoyConfig,
    Kind::Service,
    Kind::EndpointSlice,
];

/// The engine. See the module's text.
#[derive(Debug, Default)]
pub struct Engine {
    policy: Policy,
    defaults: IngressDefaults,
    index: Index,
    intents: Intents,
    states: BTreeMap<ObjectKey, State>,
    demand: Demand,
    shared: SharedMode,
    problems: BTreeMap<ObjectKey, Vec<Problem>>,
    listed: BTreeSet<Kind>,
    pending: Pending,
    /// Ingresses whose status or slice shows which nodes serve.
    on_nodes: BTreeSet<ObjectKey>,
    /// Envoy configs whose status may have to be written.
    unsettled: BTreeSet<ObjectKey>,
    /// Ingresses of which some node refuses something.
    refused: BTreeSet<ObjectKey>,
    /// Objects whose present version cannot be read.
    unreadable: BTreeMap<ObjectKey, Unreadable>,
}

impl Engine {
    /// An engine that knows nothing yet, and denies what reaches beyond traffic.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine that knows nothing yet. `policy` says what Envoy configs may make Envoy do.
    #[must_use]
    pub fn under(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The same engine, for which this holds of Ingresses that do not say otherwise.
    #[must_use]
    pub fn with_defaults(self, defaults: IngressDefaults) -> Self {
        Self { defaults, ..self }
    }

    /// What holds of Ingresses that do not say otherwise.
    #[must_use]
    pub fn defaults(&self) -> &IngressDefaults {
        &self.defaults
    }

    /// What Envoy configs may make Envoy do.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes an event in. Costs what the event changes; a `Reset` costs the objects of its kind.
    pub fn apply(&mut self, event: SourceEvent) -> Changes {
        let mut changes = Changes::default();
        match event {
            SourceEvent::Apply(object) => {
                let key = object.key();
                self.pending.forget_object(&key);
                let mut affected = self.index.apply(object);
                changes.foreign = key.kind == Kind::Ingress && self.index.ingress(&key.name).is_none();
                affected.owners.extend(self.unreadable.remove(&key).map(|it| it.key));
                self.settle(affected, &mut changes);
            }
            SourceEvent::Delete(key) => {
                self.pending.forget_object(&key);
                let mut affected = self.index.delete(&key);
                affected.owners.extend(self.unreadable.remove(&key).map(|it| it.key));
                self.settle(affected, &mut changes);
            }
            SourceEvent::Unreadable(object) => {
                let mut affected = Affected::default();
                self.note_unreadable(object, &mut affected);
                self.settle(affected, &mut changes);
            }
            SourceEvent::Reset { kind, objects, unreadable } => self.reset(kind, objects, unreadable, &mut changes),
        }
        changes
    }

    /// The object is there, so what was known of it stays in force.
    fn note_unreadable(&mut self, object: Unreadable, affected: &mut Affected) {
        // Others have no author to tell.
        if !matches!(object.key.kind, Kind::Ingress | Kind::CiliumEnvoyConfig | Kind::CiliumClusterwideEnvoyConfig) {
            return;
        }
        affected.owners.insert(object.key.clone());
        self.unreadable.insert(object.key.clone(), object);
    }

    fn reset(&mut self, kind: Kind, objects: Vec<Object>, unreadable: Vec<Unreadable>, changes: &mut Changes) {
        let mut gone = self.index.keys(kind);
        let mut affected = Affected::default();
        let readable = self.unreadable.extract_if(.., |key, _| key.kind == kind);
        affected.owners.extend(readable.map(|(key, _)| key));
        for object in unreadable {
            gone.remove(&object.key);
            self.note_unreadable(object, &mut affected);
        }
        for object in objects {
            gone.remove(&object.key());
            self.pending.forget_object(&object.key());
            affected.extend(self.index.apply(object));
        }
        for key in gone {
            self.pending.forget_object(&key);
            affected.extend(self.index.delete(&key));
        }
        match kind {
            Kind::Secret => affected.extend(self.index.secrets_listed()),
            Kind::ConfigMap => affected.extend(self.index.config_maps_listed()),
            _ => {}
        }
        let could_write = self.can_write();
        self.listed.insert(kind);
        if !could_write && self.can_write() {
            affected.owners.extend(self.index.owners());
            affected.owners.extend(self.index.ingresses_with_writes());
        }
        self.settle(affected, changes);
    }

    /// Whether each of these kinds has been listed once. Nodes must not be served before: they would drop what the
    /// engine does not know yet.
    #[must_use]
    pub fn is_synced(&self, kinds: &[Kind]) -> bool {
        kinds.iter().all(|kind| self.listed.contains(kind))
    }

    fn can_write(&self) -> bool {
        self.is_synced(&NEEDED_FOR_WRITES)
    }

    fn settle(&mut self, mut affected: Affected, changes: &mut Changes) {
        for object in std::mem::take(&mut affected.unreadable) {
            self.note_unreadable(object, &mut affected);
        }
        if !affected.nodes.is_empty() {
            // Whom an object is for may have changed.
            self.unsettle_all();
        }
        for node in &affected.nodes {
            let labels = self.index.node(node).map(|node| node.labels.clone());
            changes.intents.extend(self.intents.set_labels(&node.name, labels));
        }
        changes.config_maps.extend(affected.config_maps);
        if affected.reach {
            self.settle_reach(changes);
        }
        if affected.classes {
            self.settle_classes(changes);
        }
        let is_shared_touched = affected.endpoints.contains(&self.defaults.shared_service);
        let mut endpoints = affected.endpoints;
        let mut rivals = BTreeSet::new();
        for owner in &affected.owners {
            let delta = self.translate(owner, &mut endpoints, &mut changes.secrets);
            changes.intents.extend(delta.keys);
            rivals.extend(delta.rivals);
        }
        rivals.extend(self.settle_shared(is_shared_touched, &mut endpoints, changes));
        for service in endpoints {
            let delta = self.set_endpoints(&service);
            changes.intents.extend(delta.keys);
            rivals.extend(delta.rivals);
        }
        // Nobody wrote the others: endpoints are Kubernetes' word, and what all Ingresses of shared mode have is in two forms.
        rivals.retain(|rival| rival.kind != Kind::Service && !shared::is_everybodys(rival));
        rivals.extend(affected.owners);
        for owner in rivals {
            self.settle_problems(&owner, changes);
            self.settle_writes(&owner, changes);
        }
        self.settle_shared_writes(changes);
    }

    fn set_endpoints(&mut self, service: &Name) -> Delta {
        let (audience, wanted) = self.demand.assignments(service, &self.index);
        // Older than every object: what Kubernetes says of a Service's endpoints is not for others to say.
        let rank: Rank = (i64::MIN, service_owner(service));
        self.intents.set(&rank, &Arc::new(audience), wanted)
    }

    fn settle_problems(&mut self, owner: &ObjectKey, changes: &mut Changes) {
        let mut now = self.states.get(owner).map(|state| state.problems.clone()).unwrap_or_default();
        for ((type_url, name), winner) in self.intents.lost(owner) {
            now.push(desired::lost(owner, &type_url, &name, &winner));
        }
        now.extend(self.shared.lost(owner).iter().map(|lost| self.route_lost(owner, lost)));
        now.extend(self.lost_certificates(owner));
        now.extend(self.unreadable.get(owner).map(desired::unreadable));
        now.extend(self.refusals(owner));
        self.note_problems(owner, now, changes);
    }

    /// What nodes are told.
    #[must_use]
    pub fn intents(&self) -> &Intents {
        &self.intents
    }

    /// Uid of an object, when it is known.
    #[must_use]
    pub fn uid(&self, object: &ObjectKey) -> Option<&str> {
        if let Some(unreadable) = self.unreadable.get(object) {
            return unreadable.uid.as_deref();
        }
        let config = self.index.config(object).map(|it| &it.meta);
        let ingress = || match object.kind {
            Kind::IngressClass => self.index.class_named(&object.name).map(|it| &it.meta),
            _ => self.index.ingress(&object.name).map(|it| &it.meta),
        };
        config.or_else(ingress).and_then(|meta| meta.uid.as_deref())
    }

    /// The objects.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Everything that is wrong, by object.
    #[must_use]
    pub fn problems(&self) -> &BTreeMap<ObjectKey, Vec<Problem>> {
        &self.problems
    }
}

impl Views for Engine {
    fn view<'a>(&'a self, subscriber: &'a str) -> Box<dyn View + 'a> {
        Box::new(self.intents.view(subscriber))
    }
}

#[cfg(test)]
mod tests;
