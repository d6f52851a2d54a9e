//! Every resource that nodes are told, with whose it is and which nodes it is for.
//!
//! A key (type and name) can be offered by several objects. Who is older wins, on each node by itself: an offer for other
//! nodes does not stand in the way. All structures are ordered, so the same offers give the same views.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_envoy::ResourceKind;
use axoneme_xds::{Key, Outcome, Resource};

use crate::source::{Name, ObjectKey};

mod answers;
mod audience;
mod modules;
mod programmed;
mod view;

pub use answers::{Programmed, Rejection};
pub use audience::Audience;
pub use view::NodeView;

use answers::Answers;

/// Seniority: creation time, then kind and name. The lowest wins.
pub type Rank = (i64, ObjectKey);

/// One resource as its owner offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// What the node gets.
    pub resource: Resource,
    /// Whether the owner counts as programmed only when the node says that this is.
    pub awaited: bool,
    /// Name of the assignment of an EDS cluster, which Envoy wants again after every change of the cluster.
    pub endpoints: Option<Arc<str>>,
}

#[derive(Debug)]
struct Offer {
    rank: Rank,
    audience: Arc<Audience>,
    intent: Intent,
}

/// What a mutation changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Keys whose content may be another on some node.
    pub keys: BTreeSet<Key>,
    /// Other owners that want one of these keys too: they may have won or lost it.
    pub rivals: BTreeSet<ObjectKey>,
}

/// The store. See the module's text.
#[derive(Debug, Default)]
pub struct Intents {
    /// By type URL, then name: offers, the winner first.
    offers: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<Offer>>>,
    owned: BTreeMap<ObjectKey, BTreeSet<Key>>,
    /// Keys with an offer that is not for all nodes.
    selective: BTreeSet<Key>,
    labels: BTreeMap<Arc<str>, BTreeMap<String, String>>,
    /// Nodes whose Envoys have the module.
    modules: BTreeSet<Arc<str>>,
    answers: Answers,
}

impl Intents {
    /// Replaces everything that an owner offers. Costs what the owner offers, whatever else is there.
    pub fn set(&mut self, rank: &Rank, audience: &Arc<Audience>, wanted: BTreeMap<Key, Intent>) -> Delta {
        let owner = &rank.1;
        let mut delta = Delta::default();
        let before = self.owned.remove(owner).unwrap_or_default();
        for key in before.iter().filter(|key| !wanted.contains_key(*key)) {
            self.withdraw(owner, key, &mut delta);
        }
        let after: BTreeSet<Key> = wanted.keys().cloned().collect();
        for (key, intent) in wanted {
            self.offer(&key, Offer { rank: rank.clone(), audience: Arc::clone(audience), intent }, &mut delta);
        }
        if !after.is_empty() {
            self.owned.insert(owner.clone(), after);
        }
        delta.rivals.remove(owner);
        delta
    }

    /// Replaces some of what an owner offers; `None` takes back. Costs these, however much else the owner offers.
    pub fn amend(&mut self, rank: &Rank, audience: &Arc<Audience>, changes: BTreeMap<Key, Option<Intent>>) -> Delta {
        let owner = &rank.1;
        let mut delta = Delta::default();
        let mut owned = self.owned.remove(owner).unwrap_or_default();
        for (key, intent) in changes {
            match intent {
                Some(intent) => {
                    owned.insert(key.clone());
                    self.offer(&key, Offer { rank: rank.clone(), audience: Arc::clone(audience), intent }, &mut delta);
                }
                None if owned.remove(&key) => self.withdraw(owner, &key, &mut delta),
                None => {}
            }
        }
        if !owned.is_empty() {
            self.owned.insert(owner.clone(), owned);
        }
        delta.rivals.remove(owner);
        delta
    }

    fn offer(&mut self, key: &Key, offer: Offer, delta: &mut Delta) {
        let offers = self.offers.entry(key.0.clone()).or_default().entry(key.1.clone()).or_default();
        match offers.iter().position(|other| other.rank.1 == offer.rank.1) {
            Some(at)
                if offers[at].rank == offer.rank
                    && offers[at].audience == offer.audience
                    && offers[at].intent == offer.intent =>
            {
                return;
            }
            Some(at) => drop(offers.remove(at)),
            None => {}
        }
        delta.keys.insert(key.clone());
        delta.rivals.extend(offers.iter().map(|other| other.rank.1.clone()));
        let at = offers.partition_point(|other| other.rank < offer.rank);
        // Nearly always the only one: room for four would be most of what the store takes.
        offers.reserve_exact(1);
        offers.insert(at, offer);
        self.note_selective(key);
    }

    fn withdraw(&mut self, owner: &ObjectKey, key: &Key, delta: &mut Delta) {
        let Some(names) = self.offers.get_mut(&key.0) else { return };
        let Some(offers) = names.get_mut(&key.1) else { return };
        offers.retain(|offer| offer.rank.1 != *owner);
        delta.keys.insert(key.clone());
        delta.rivals.extend(offers.iter().map(|other| other.rank.1.clone()));
        if offers.is_empty() {
            names.remove(&key.1);
        }
        self.note_selective(key);
    }

    fn note_selective(&mut self, key: &Key) {
        if self.offers(&key.0, &key.1).iter().all(|offer| *offer.audience == Audience::All) {
            self.selective.remove(key);
        } else {
            self.selective.insert(key.clone());
        }
    }

    fn offers(&self, type_url: &str, name: &str) -> &[Offer] {
        self.offers.get(type_url).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    /// A node's labels, `None` when its object is gone. Costs the offers that are not for all nodes.
    pub fn set_labels(&mut self, node: &str, labels: Option<BTreeMap<String, String>>) -> BTreeSet<Key> {
        let old = self.labels(node).clone();
        if let Some(mut labels) = labels {
            modules::mark(&mut labels, self.has_module(node));
            self.labels.insert(node.into(), labels);
        } else {
            self.labels.remove(node);
        }
        self.moved(&old, self.labels(node))
    }

    /// Keys of offers that are for one of two sets of labels only.
    fn moved(&self, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeSet<Key> {
        let moved = |key: &&Key| {
            self.offers(&key.0, &key.1).iter().any(|offer| offer.audience.includes(old) != offer.audience.includes(new))
        };
        self.selective.iter().filter(moved).cloned().collect()
    }

    /// What one node may see.
    #[must_use]
    pub fn view(&self, node: &str) -> NodeView<'_> {
        NodeView { intents: self, labels: self.labels(node) }
    }

    /// Keys that an owner wants but an older one has, on some node that both are for.
    #[must_use]
    pub fn lost(&self, owner: &ObjectKey) -> Vec<(Key, ObjectKey)> {
        let winner = |key: &Key| {
            let offers = self.offers(&key.0, &key.1);
            let mine = offers.iter().position(|offer| offer.rank.1 == *owner)?;
            // A Secret of Kubernetes is one and the same for all that name it.
            let is_same = |offer: &Offer| {
                *key.0 == *ResourceKind::Secret.type_url()
                    && offer.intent.resource.version == offers[mine].intent.resource.version
            };
            let before = offers[..mine].iter().filter(|offer| !is_same(offer));
            let stands_before = |audience: &Audience| *audience == Audience::All || *audience == *offers[mine].audience;
            // Shared mode has two forms, one for nodes with the module and one for the others.
            let mut rivals =
                before.filter(|o| stands_before(&o.audience) || stands_before(&o.audience.of_any_module()));
            rivals.next().map(|offer| (key.clone(), offer.rank.1.clone()))
        };
        self.owned.get(owner).into_iter().flatten().filter_map(winner).collect()
    }

    /// What an owner offers of one type and got, on any node.
    pub fn owned(&self, owner: &ObjectKey, type_url: &str) -> impl Iterator<Item = &Resource> {
        let keys = self.owned.get(owner).into_iter().flatten().filter(move |key| *key.0 == *type_url);
        let first = keys.filter_map(|key| self.offers(&key.0, &key.1).first());
        first.filter(move |offer| offer.rank.1 == *owner).map(|offer| &offer.intent.resource)
    }

    /// Everything with its owner, for whatever nodes it is: of rivals, the oldest.
    pub fn oldest(&self) -> impl Iterator<Item = (&ObjectKey, &Resource)> {
        let first = self.offers.values().flat_map(BTreeMap::values).filter_map(|offers| offers.first());
        first.map(|offer| (&offer.rank.1, &offer.intent.resource))
    }

    /// The owners of a resource: whom a node's answer concerns.
    pub fn owners(&self, type_url: &str, name: &str) -> impl Iterator<Item = &ObjectKey> {
        self.offers(type_url, name).iter().map(|offer| &offer.rank.1)
    }

    /// A node opened its stream.
    pub fn node_connected(&mut self, node: &str) {
        self.answers.connected(node);
    }

    /// A node's stream ended. What it said stands until [`Self::forget_node`].
    pub fn node_gone(&mut self, node: &str) {
        self.answers.gone(node);
    }

    /// What a node said on streams that ended counts no more. Costs all resources.
    pub fn forget_node(&mut self, node: &str) {
        self.answers.forget(node);
    }

    /// These nodes have a loader, so they should be connected. False when that is no news.
    pub fn expect_nodes(&mut self, nodes: BTreeSet<Arc<str>>) -> bool {
        self.answers.expect(nodes)
    }

    /// A node says that it runs a resource, or why not.
    pub fn answer(&mut self, node: &str, outcome: &Outcome) {
        self.answers.note(node, outcome);
    }

    fn labels(&self, node: &str) -> &BTreeMap<String, String> {
        self.labels.get(node).unwrap_or_else(|| modules::labels_of_none(self.has_module(node)))
    }

    /// Nodes that should be connected and are not. One that left the cluster is not missed.
    pub fn absent_nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.answers.absent().filter(|node| self.labels.contains_key(*node))
    }

    /// How many nodes have a stream open.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.answers.connections()
    }

    /// Resources offered, by type URL.
    pub fn counts(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.offers.iter().map(|(type_url, names)| (type_url, names.len()))
    }
}

/// The owner of the endpoints of a Service.
#[must_use]
pub(crate) fn service_owner(service: &Name) -> ObjectKey {
    ObjectKey { kind: crate::source::Kind::Service, name: service.clone() }
}

#[cfg(test)]
mod tests;
