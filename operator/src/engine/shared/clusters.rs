//! The clusters of shared mode, each called after what it leads to: it is there while some Ingress names that, and shared by all who do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::Key;

use super::maker::told;
use super::rank;
use crate::engine::Engine;
use crate::intents::Intent;
use crate::model::{IngressDefaults, Target};
use crate::shared::Change;
use crate::source::{Name, ObjectKey};
use crate::translate::{
    ingress,
    shared::{self, Origin},
};

/// Who wants the endpoints of targets: a port that is passed on to and asked in HTTP, too, is wanted twice.
fn passthrough(defaults: &IngressDefaults) -> ObjectKey {
    let owner = rank(defaults).1;
    ObjectKey::new(owner.kind, "", &format!("{}:passthrough", owner.name.name))
}

impl Engine {
    /// What nodes are told of clusters. Costs those that are new or gone. Notes Services whose endpoints are wanted now or no more.
    pub(super) fn shared_clusters(
        &mut self,
        change: &Change,
        endpoints: &mut BTreeSet<Name>,
    ) -> BTreeMap<Key, Option<Intent>> {
        let origin = Origin::of(&self.defaults);
        let owner = rank(&self.defaults).1;
        let mut amended = self.passthrough_clusters(&change.targets, endpoints);
        let (named, gone): (Vec<_>, Vec<_>) = change.backends.iter().partition(|it| self.shared.hosts.names(it));
        // What is gone comes first: a port that speaks something else now has clusters of the same names.
        for backend in gone {
            amended.extend(origin.clusters(backend).map(|key| (key, None)));
            self.demand.forgo(&owner, &shared::endpoints(backend));
            endpoints.insert(backend.service.clone());
        }
        let audience = Arc::new(ingress::audience(&self.defaults));
        for backend in named {
            let clusters = told(shared::clusters(&origin, backend), "cluster", &backend.service.to_string());
            amended.extend(clusters.unwrap_or_default().into_iter().map(|it| (it.resource.key(), Some(it))));
            self.demand.want(&owner, &audience, shared::endpoints(backend));
            endpoints.insert(backend.service.clone());
        }
        amended
    }

    fn passthrough_clusters(
        &mut self,
        targets: &BTreeSet<Target>,
        endpoints: &mut BTreeSet<Name>,
    ) -> BTreeMap<Key, Option<Intent>> {
        let origin = Origin::of(&self.defaults);
        let owner = passthrough(&self.defaults);
        let audience = Arc::new(ingress::audience(&self.defaults));
        let mut amended = BTreeMap::new();
        let (named, gone): (Vec<_>, Vec<_>) = targets.iter().partition(|it| self.shared.hosts.passes_to(it));
        for target in gone {
            amended.insert(origin.target_key(target), None);
            self.demand.forgo(&owner, &shared::target_endpoints(target));
            endpoints.insert(target.service.clone());
        }
        for target in named {
            let cluster = told(shared::target_cluster(&origin, target), "cluster", &target.service.to_string());
            amended.extend(cluster.map(|it| (it.resource.key(), Some(it))));
            self.demand.want(&owner, &audience, shared::target_endpoints(target));
            endpoints.insert(target.service.clone());
        }
        amended
    }
}
