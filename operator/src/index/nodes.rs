//! Nodes: their labels, and the addresses at which clients find those that serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::source::{LoadBalancerAddress, Name, Node, Selector};

/// The nodes, and which of them have a loader.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    all: BTreeMap<Name, Node>,
    /// `None` while nobody knows.
    loaders: Option<BTreeSet<Arc<str>>>,
}

/// What of a node changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) labels: bool,
    /// Labels among them: a selector may choose it now.
    pub(super) reach: bool,
}

impl Nodes {
    pub(super) fn all(&self) -> &BTreeMap<Name, Node> {
        &self.all
    }

    pub(super) fn put(&mut self, node: Node) -> Change {
        let new = node.clone();
        let Some(old) = self.all.insert(node.meta.name.clone(), node) else {
            return Change { labels: true, reach: true };
        };
        let labels = old.labels != new.labels;
        Change { labels, reach: labels || (old.is_ready, &old.addresses) != (new.is_ready, &new.addresses) }
    }

    pub(super) fn remove(&mut self, name: &Name) -> bool {
        self.all.remove(name).is_some()
    }

    /// False when it is no news.
    pub(super) fn set_loaders(&mut self, nodes: BTreeSet<Arc<str>>) -> bool {
        let is_news = self.loaders.as_ref() != Some(&nodes);
        self.loaders = Some(nodes);
        is_news
    }

    /// The ready nodes that have a loader, in order of their names. `None` while nobody knows which have a loader. Costs all nodes.
    pub(super) fn serving(&self) -> Option<impl Iterator<Item = &Node>> {
        let loaders = self.loaders.as_ref()?;
        Some(self.all.values().filter(|node| node.is_ready && loaders.contains(&node.meta.name.name)))
    }

    /// Addresses of those that serve and that the selector chooses, sorted, each once. `None` while nobody knows which serve.
    /// Costs all nodes.
    pub(super) fn addresses(&self, selector: Option<&Selector>) -> Option<Vec<LoadBalancerAddress>> {
        let chosen = |node: &&Node| selector.is_none_or(|selector| selector.matches(&node.labels));
        let addresses: BTreeSet<_> = self.serving()?.filter(chosen).flat_map(|node| &node.addresses).collect();
        Some(addresses.into_iter().map(LoadBalancerAddress::ip).collect())
    }
}
