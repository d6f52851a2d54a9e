//! The resources of a server as plain data, and what a stream may see of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Change, Key, Resource, type_urls};

/// What ONE subscriber may see.
pub trait View {
    /// The resource, if it exists and this subscriber may see it.
    fn get(&self, type_url: &str, name: &str) -> Option<Resource>;

    /// Every name of a type that this subscriber may see.
    fn names(&self, type_url: &str) -> Vec<Arc<str>>;

    /// The resource that has to be sent again after this one, although it did not change.
    ///
    /// Envoy warms a changed EDS cluster until it gets the assignment once more, and does not ask for it; without a
    /// re-send the change waits for the fetch timeout, 15 s. The default is an assignment of the cluster's own name. A
    /// cluster with an `eds_cluster_config.service_name` follows that name.
    fn follow(&self, type_url: &str, name: &str) -> Option<Key> {
        (type_url == type_urls::CLUSTER).then(|| (type_urls::ENDPOINTS.into(), name.into()))
    }
}

/// A set of resources that everybody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    types: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Resource>>,
}

impl Store {
    /// Takes a resource over. Gives its key if that changed anything.
    pub fn put(&mut self, resource: Resource) -> Option<Key> {
        let key = resource.key();
        let names = self.types.entry(resource.type_url.clone()).or_default();
        if names.get(&resource.name).is_some_and(|held| held.version == resource.version) {
            return None;
        }
        names.insert(resource.name.clone(), resource);
        Some(key)
    }

    /// Drops a resource. Gives its key if it was there.
    pub fn remove(&mut self, key: &Key) -> Option<Key> {
        let names = self.types.get_mut(&key.0)?;
        let gone = names.remove(&key.1)?;
        if names.is_empty() {
            self.types.remove(&key.0);
        }
        Some(gone.key())
    }

    /// Applies edits in order and gives the keys that changed. O(edits), whatever the size of the store.
    pub fn apply(&mut self, edits: impl IntoIterator<Item = (Key, Change)>) -> BTreeSet<Key> {
        let apply = |(key, change)| match change {
            Change::Put(resource) => self.put(resource),
            Change::Remove => self.remove(&key),
        };
        edits.into_iter().filter_map(apply).collect()
    }

    /// Every resource, by type and name.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.types.values().flat_map(BTreeMap::values)
    }
}

impl View for Store {
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        self.types.get(type_url)?.get(name).cloned()
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        self.types.get(type_url).into_iter().flat_map(|names| names.keys().cloned()).collect()
    }
}

impl<V: View + ?Sized> View for &V {
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        (**self).get(type_url, name)
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        (**self).names(type_url)
    }

    fn follow(&self, type_url: &str, name: &str) -> Option<Key> {
        (**self).follow(type_url, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_changes_nothing_is_not_a_change() {
        let mut store = Store::default();
        let one = Resource::new("t", "a", "1");
        let put = |resource: &Resource| (resource.key(), Change::Put(resource.clone()));
        assert_eq!(store.apply([put(&one)]), BTreeSet::from([one.key()]));
        assert_eq!(store.apply([put(&one)]), BTreeSet::new());
        assert_eq!(
            store.apply([(one.key(), Change::Remove), (one.key(), Change::Remove)]),
            BTreeSet::from([one.key()])
        );
        assert_eq!(store, Store::default());
    }
}
