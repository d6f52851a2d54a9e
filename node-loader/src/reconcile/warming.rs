//! Clusters that Envoy hears of for the first time, and what waits for them.
//!
//! Envoy takes a route at once, but a new cluster only when it has its endpoints; in between, requests that the route leads to
//! it would fail. So a route or listener that mentions such a cluster is held back until Envoy has answered for it. An Envoy
//! that is not connected is told everything when it comes, and starts with the clusters by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axoneme_xds::{
    Key,
    type_urls::{CLUSTER, LISTENER, ROUTE},
};

use super::Reconcile;
use crate::mentions::mention;

/// By cluster, what is looked at again when Envoy has answered. What mentions several waits for one after the other.
#[derive(Debug, Default)]
pub(super) struct Warming(BTreeMap<Arc<str>, BTreeSet<Key>>);

impl Reconcile {
    /// A cluster was offered. One that Envoy runs in an earlier version goes on with that.
    pub(super) fn begins_to_warm(&mut self, key: &Key) {
        let runs =
            self.items.get(key).and_then(|item| item.served.as_ref()).is_some_and(|served| served.good.is_some());
        if &*key.0 == CLUSTER && self.envoy_connected && !runs {
            self.warming.0.entry(key.1.clone()).or_default();
        }
    }

    /// Whether what is wanted of a route or listener leads to a cluster that is not warm. Costs its bytes, while there is one.
    pub(super) fn waits_for_cluster(&mut self, key: &Key) -> bool {
        if self.warming.0.is_empty() || !matches!(&*key.0, LISTENER | ROUTE) {
            return false;
        }
        let Some(wanted) = self.items.get(key).and_then(|item| item.wanted.as_ref()) else { return false };
        let cluster = mention(&wanted.resource.body, &|text| self.warming.0.contains_key(text));
        let Some(waiting) = cluster.and_then(|cluster| self.warming.0.get_mut(cluster)) else { return false };
        waiting.insert(key.clone());
        true
    }

    /// Envoy has a cluster, or will not have it: nobody waits for it any more.
    pub(super) fn has_warmed(&mut self, key: &Key) {
        if &*key.0 == CLUSTER
            && let Some(waiting) = self.warming.0.remove(&key.1)
        {
            waiting.iter().for_each(|key| self.advance(key));
        }
    }

    /// Nobody waits for an Envoy that is gone.
    pub(super) fn nothing_warms(&mut self) {
        for key in std::mem::take(&mut self.warming.0).into_values().flatten() {
            self.advance(&key);
        }
    }
}
