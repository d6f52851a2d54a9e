//! How far objects got: nodes come, answer and go, and statuses follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::Outcome;

use super::{Changes, ConfigStatus, Engine, Target, Write};
use crate::problem::{Problem, Reason};
use crate::source::{Kind, ObjectKey};

/// Refusals of an Ingress that are told, each in other words.
const TOLD: usize = 3;

impl Engine {
    /// Statuses of Envoy configs that are other than shown. Kept apart from [`Engine::apply`], so that the answers of
    /// many nodes make one write: call it some 200 ms after the first event. Costs what is offered by the objects that
    /// changed or were answered, times the connected nodes.
    pub fn take_status_writes(&mut self) -> Vec<Write> {
        if !self.can_write() {
            return Vec::new();
        }
        let mut writes = Vec::new();
        for object in std::mem::take(&mut self.unsettled) {
            let target = Target::ConfigStatus(object);
            let Some((write, is_met)) = self.status_write(&target) else {
                self.pending.forget(&target);
                continue;
            };
            // What is shown by now is written all the same when an earlier write may wait: it takes that one's place.
            let wanted = !is_met || self.pending.awaits(&target);
            if wanted && self.pending.note(&write) {
                writes.push(write);
            }
            if is_met {
                self.pending.forget(&target);
            }
        }
        writes
    }

    /// Whether [`Engine::take_status_writes`] has something to look at.
    #[must_use]
    pub fn has_unsettled_status(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// The status of an object, and whether the object shows it.
    fn status_write(&self, target: &Target) -> Option<(Write, bool)> {
        let Target::ConfigStatus(object) = target else { return None };
        let config = self.index.config(object)?;
        let problems = self.problems.get(object).map_or(&[][..], Vec::as_slice);
        let outdated = self.states.get(object).is_some_and(|state| state.refused.is_some());
        let status = ConfigStatus::new(config, problems, &self.intents.programmed(object), outdated);
        let is_met = status.is_met_by(config);
        Some((Write::ConfigStatus { object: object.clone(), status }, is_met))
    }

    /// Looks at the status of every Envoy config again, told before or not.
    pub fn unsettle(&mut self) {
        self.unsettle_all();
        for object in &self.unsettled {
            self.pending.forget(&Target::ConfigStatus(object.clone()));
        }
    }

    /// A node opened its stream.
    pub fn node_connected(&mut self, node: &str) {
        self.intents.node_connected(node);
        self.shared.comes(node);
        self.unsettle_all();
    }

    /// A node's stream ended. Call it when the node has no other stream open. It still runs what it said, and mostly comes
    /// back at once: that stands until [`Engine::forget_node`].
    pub fn node_gone(&mut self, node: &str) {
        self.intents.node_gone(node);
        self.shared.goes(node);
    }

    /// What a node said on streams that ended, and did not repeat since, counts no more. A node that is not back is absent.
    pub fn forget_node(&mut self, node: &str) -> Changes {
        self.intents.forget_node(node);
        self.shared.forget(node);
        self.unsettle_all();
        self.settle_refusals(self.refused.clone())
    }

    /// These nodes have a loader: they count in statuses also while they are not connected, and Ingresses that show which nodes
    /// serve show them. Gives what is to be written of those.
    pub fn expect_nodes(&mut self, nodes: BTreeSet<Arc<str>>) -> Vec<Write> {
        let mut changes = Changes::default();
        if self.index.set_loaders(nodes.clone()) {
            self.settle_reach(&mut changes);
            self.settle_shared_writes(&mut changes);
        }
        if self.intents.expect_nodes(nodes) {
            self.unsettle_all();
        }
        changes.writes
    }

    /// How many nodes there are stands in every status.
    pub(super) fn unsettle_all(&mut self) {
        self.unsettled.extend(self.index.owners().filter(|owner| owner.kind != Kind::Ingress));
    }

    /// A node says what became of a resource. Gives the objects that it concerns.
    pub fn node_answered(&mut self, node: &str, outcome: &Outcome) -> Vec<ObjectKey> {
        self.intents.answer(node, outcome);
        let (Outcome::Acked { type_url, name, .. } | Outcome::Nacked { type_url, name, .. }) = outcome;
        let mut owners: Vec<_> = self.intents.owners(type_url, name).cloned().collect();
        if !owners.iter().all(is_object) {
            owners.extend(self.concerned(outcome));
        }
        self.unsettled.extend(owners.iter().filter(|owner| self.index.config(owner).is_some()).cloned());
        owners
    }

    /// Looks again at those of these objects that are Ingresses of which a node refuses something, or did. They have no condition
    /// to say so, and say it among their problems. Costs what they offer, times the nodes where any refuses.
    pub fn settle_refusals(&mut self, answered: impl IntoIterator<Item = ObjectKey>) -> Changes {
        let mut changes = Changes::default();
        let owners: BTreeSet<_> = answered.into_iter().collect();
        for owner in owners {
            let is_refused = self.is_refused(&owner) || !self.shared_refusals(&owner).is_empty();
            if is_refused || self.refused.contains(&owner) {
                self.settle_problems(&owner, &mut changes);
            }
            if is_refused {
                self.refused.insert(owner)
            } else {
                self.refused.remove(&owner)
            };
        }
        changes
    }

    fn is_refused(&self, owner: &ObjectKey) -> bool {
        owner.kind == Kind::Ingress && is_object(owner) && self.intents.is_refused(owner)
    }

    /// What nodes refuse of an Ingress: of many that say the same, the first by name.
    pub(super) fn refusals(&self, owner: &ObjectKey) -> Vec<Problem> {
        let mut refusals = self.shared_refusals(owner);
        if self.is_refused(owner) {
            refusals.extend(self.intents.programmed(owner).rejections);
        }
        let mut told = BTreeMap::new();
        for refusal in refusals {
            told.entry(refusal.message).or_insert((refusal.node, refusal.resource));
        }
        let problem = |(message, (node, resource))| {
            Problem::error(Reason::Invalid, "", format!("node {node} refuses {resource}: {message}"))
        };
        told.into_iter().take(TOLD).map(problem).collect()
    }
}

/// Whether an owner of resources is an object of the cluster. What belongs to all shared Ingresses together is under a name
/// without a namespace, and offers too much to be looked at as a whole.
fn is_object(owner: &ObjectKey) -> bool {
    owner.kind != Kind::Ingress || !owner.name.namespace.is_empty()
}
