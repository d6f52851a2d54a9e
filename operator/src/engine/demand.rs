//! Which endpoints are wanted, and on which nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::Key;

use crate::index::Index;
use crate::intents::{Audience, Intent};
use crate::source::{Name, ObjectKey};
use crate::translate::{EndpointsName, endpoints};

/// Endpoint names by the Service that they are about, with the objects that want them.
#[derive(Debug, Default)]
pub(super) struct Demand {
    wanted: BTreeMap<Name, BTreeMap<EndpointsName, BTreeMap<ObjectKey, Arc<Audience>>>>,
    by_owner: BTreeMap<ObjectKey, (Arc<Audience>, BTreeSet<EndpointsName>)>,
}

impl Demand {
    /// Replaces what an object wants. Gives the Services of which more, less or other nodes' endpoints are wanted now.
    pub(super) fn set(
        &mut self,
        owner: &ObjectKey,
        audience: &Arc<Audience>,
        names: BTreeSet<EndpointsName>,
    ) -> BTreeSet<Name> {
        let before = self.by_owner.remove(owner);
        let same_audience = before.as_ref().is_some_and(|(before, _)| before == audience);
        let before = before.map(|(_, names)| names).unwrap_or_default();
        let mut changed = BTreeSet::new();
        for name in before.difference(&names) {
            self.remove(owner, name);
            changed.insert(name.service.clone());
        }
        for name in names.iter().filter(|name| !same_audience || !before.contains(*name)) {
            let wanted = self.wanted.entry(name.service.clone()).or_default();
            wanted.entry(name.clone()).or_default().insert(owner.clone(), Arc::clone(audience));
            changed.insert(name.service.clone());
        }
        if !names.is_empty() {
            self.by_owner.insert(owner.clone(), (Arc::clone(audience), names));
        }
        changed
    }

    /// One more name that an object wants. For an owner that wants many and changes few: [`Self::set`] would cost
    /// all of them.
    pub(super) fn want(&mut self, owner: &ObjectKey, audience: &Arc<Audience>, name: EndpointsName) {
        let wanted = self.wanted.entry(name.service.clone()).or_default();
        wanted.entry(name).or_default().insert(owner.clone(), Arc::clone(audience));
    }

    /// One less.
    pub(super) fn forgo(&mut self, owner: &ObjectKey, name: &EndpointsName) {
        self.remove(owner, name);
    }

    fn remove(&mut self, owner: &ObjectKey, name: &EndpointsName) {
        let Some(names) = self.wanted.get_mut(&name.service) else { return };
        if let Some(owners) = names.get_mut(name) {
            owners.remove(owner);
            if owners.is_empty() {
                names.remove(name);
            }
        }
        if names.is_empty() {
            self.wanted.remove(&name.service);
        }
    }

    /// The assignments that are wanted of one Service, for every node that wants any of them.
    pub(super) fn assignments(&self, service: &Name, index: &Index) -> (Audience, BTreeMap<Key, Intent>) {
        let Some(names) = self.wanted.get(service) else { return (Audience::All, BTreeMap::new()) };
        let none = || Audience::Any(BTreeSet::new());
        let audience = names.values().flat_map(BTreeMap::values).fold(none(), |sum, one| sum.union(one));
        let intent = |name| {
            let resource = endpoints::assignment(name, index);
            (resource.key(), Intent { resource, awaited: false, endpoints: None })
        };
        (audience, names.keys().map(intent).collect())
    }
}
