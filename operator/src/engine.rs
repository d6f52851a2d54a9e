//! The heart of the control plane: objects in, node views and writes out. One step per event, no clock, no I/O.
//!
//! `index` knows the objects, `translate` says what they mean, [`Intents`] holds what nodes are told. The engine decides
//! what to look at again, so that an edit costs what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_envoy::Policy;
use axoneme_xds::{Key, View, grpc::Views};

use crate::index::{Affected, Index};
use crate::intents::{Audience, Delta, Intents, Rank, service_owner};
use crate::model::IngressDefaults;
use crate::model::options::Mode;
use crate::problem::{Problem, Reason};
use crate::shared::place;
use crate::source::{EnvoyConfig, Kind, Name, Object, ObjectKey, SourceEvent, Unreadable};
use crate::translate::{Output, config, ingress};

mod around;
mod demand;
mod desired;
mod modules;
mod outstanding;
mod progress;
mod report;
mod shared;
pub mod status;
pub mod writes;

pub use report::Report;
pub use status::{ConditionDraft, ConfigStatus, ProgrammedReason};
pub use writes::{DummySlice, IngressService, Owner, Target, Write};

use demand::Demand;
use shared::{Membership, SharedMode};
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

/// What an event led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Keys whose content, or visibility to some node, may have changed.
    pub intents: BTreeSet<Key>,
    /// Objects whose problems changed.
    pub problems: BTreeMap<ObjectKey, ProblemChange>,
    /// Secrets that objects name from now on (true), or that none names any more (false).
    pub secrets: BTreeMap<Name, bool>,
    /// ConfigMaps that classes name from now on, or no more, likewise.
    pub config_maps: BTreeMap<Name, bool>,
    /// What is to be written, at most one write per target. Nothing is told twice.
    pub writes: Vec<Write>,
}

impl Changes {
    /// Both, this one first.
    pub fn merge(&mut self, later: Self) {
        self.intents.extend(later.intents);
        for (object, change) in later.problems {
            let mine = self.problems.entry(object).or_default();
            for problem in change.cleared {
                let added = mine.added.len();
                mine.added.retain(|it| *it != problem);
                if mine.added.len() == added {
                    mine.cleared.push(problem);
                }
            }
            mine.added.extend(change.added);
        }
        self.problems.retain(|_, change| !change.added.is_empty() || !change.cleared.is_empty());
        self.secrets.extend(later.secrets);
        self.config_maps.extend(later.config_maps);
        self.writes.extend(later.writes);
    }
}

/// How the problems of one object changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemChange {
    /// New ones: worth a log line and an Event.
    pub added: Vec<Problem>,
    /// Those that are no more.
    pub cleared: Vec<Problem>,
}

/// What the engine keeps of an Ingress or Envoy config.
#[derive(Debug, Default)]
struct State {
    /// Problems of the translation, conflicts aside.
    problems: Vec<Problem>,
    /// Of an Ingress: what its model was rendered to.
    rendered: Option<ingress::Rendered>,
    /// Of an Envoy config: its last good version.
    good: Option<Box<config::Parsed>>,
    /// Of an Envoy config: the version that was refused last, and why.
    refused: Option<Box<(EnvoyConfig, Vec<Problem>)>>,
}

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

    /// Translates one object again and replaces what it offers. Notes the Services whose demand changed, and the
    /// Secrets that are named now or no more.
    fn translate(
        &mut self,
        owner: &ObjectKey,
        endpoints: &mut BTreeSet<Name>,
        named: &mut BTreeMap<Name, bool>,
    ) -> Delta {
        let mut state = self.states.remove(owner).unwrap_or_default();
        let found = match owner.kind {
            Kind::Ingress => {
                let (found, membership) = self.translate_ingress(owner, &mut state).unzip();
                self.shared.set(owner, membership.unwrap_or_default());
                found
            }
            _ => self.translate_config(owner, &mut state),
        };
        let (rank, audience, output) = match found {
            Some((created, audience, output)) => ((created, owner.clone()), audience, output),
            None => ((0, owner.clone()), Audience::All, Output::default()),
        };
        let gone = output == Output::default() && state.good.is_none() && state.refused.is_none();
        named.extend(self.index.note_secrets(owner, output.secrets));
        let audience = Arc::new(audience);
        endpoints.extend(self.demand.set(owner, &audience, output.endpoints));
        state.problems = output.problems;
        if !gone {
            self.states.insert(owner.clone(), state);
        }
        self.intents.set(&rank, &audience, output.resources)
    }

    fn translate_ingress(&self, owner: &ObjectKey, state: &mut State) -> Option<((i64, Audience, Output), Membership)> {
        let ingress = self.index.ingress(&owner.name)?;
        let defaults = self.index.defaults(ingress, &self.defaults);
        let place = place(ingress, &self.index, &defaults);
        let translated = ingress::translate(ingress, &self.index, &defaults, place, state.rendered.take());
        let ingress::Translated { mut output, rendered, hosts } = translated;
        output.problems.extend(self.index.defaults_problems(ingress));
        state.rendered = rendered;
        let created = ingress.meta.created;
        let membership = Membership { created, hosts, is_member: place.mode == Mode::Shared };
        Some(((created, ingress::audience(&self.defaults), output), membership))
    }

    /// An invalid version changes nothing: the last good one stays in force, next to the problems of the new one.
    fn translate_config(&self, owner: &ObjectKey, state: &mut State) -> Option<(i64, Audience, Output)> {
        let Some(config) = self.index.config(owner) else {
            (state.good, state.refused) = (None, None);
            return None;
        };
        if state.good.as_ref().is_some_and(|good| good.config.same_spec(config)) {
            state.refused = None;
        } else if !state.refused.as_ref().is_some_and(|refused| refused.0.same_spec(config)) {
            match config::parse(config, &self.policy) {
                Ok(parsed) => (state.good, state.refused) = (Some(Box::new(parsed)), None),
                Err(problems) => state.refused = Some(Box::new((config.clone(), problems))),
            }
        }
        let mut output = Output::default();
        let mut audience = Audience::All;
        if let Some(good) = &state.good {
            output = config::translate(good, &self.index);
            audience = Audience::of(good.config.node_selector.as_ref());
        }
        if let Some(refused) = &state.refused {
            output.problems.clone_from(&refused.1);
            if state.good.is_some() {
                let why = "the last good version of this object stays in force";
                output.problems.push(Problem::warning(Reason::Invalid, "", why));
            }
        }
        Some((config.meta.created, audience, output))
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
