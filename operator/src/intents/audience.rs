//! Which nodes something is for.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Selector;

/// The nodes that something is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every node.
    All,
    /// Nodes whose labels match one of these.
    Any(BTreeSet<Selector>),
}

impl Audience {
    /// The nodes of an optional `nodeSelector`.
    #[must_use]
    pub fn of(selector: Option<&Selector>) -> Self {
        selector.map_or(Self::All, |selector| Self::Any(BTreeSet::from([selector.clone()])))
    }

    /// Nodes of either.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any(mut mine), Self::Any(theirs)) => {
                mine.extend(theirs.iter().cloned());
                Self::Any(mine)
            }
            _ => Self::All,
        }
    }

    /// Whether a node with these labels is meant.
    #[must_use]
    pub fn includes(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All => true,
            Self::Any(selectors) => selectors.iter().any(|selector| selector.matches(labels)),
        }
    }
}
