//! Nodes whose Envoys have the module that finds a host's routes by hash.
//!
//! That is a label among a node's labels, which no user can write: so it is an audience like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axoneme_api::names::HOSTKEY_FEATURE;
use axoneme_xds::Key;

use super::{Audience, Intents};
use crate::source::Selector;

static NONE: BTreeMap<String, String> = BTreeMap::new();
static ONLY_THE_MODULE: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut labels = BTreeMap::new();
    mark(&mut labels, true);
    labels
});

/// Labels of a node that is no object of the cluster.
pub(super) fn labels_of_none(has_module: bool) -> &'static BTreeMap<String, String> {
    if has_module { &ONLY_THE_MODULE } else { &NONE }
}

/// Says in a node's labels whether its Envoy has the module.
pub(super) fn mark(labels: &mut BTreeMap<String, String>, has_module: bool) {
    if has_module {
        labels.insert(HOSTKEY_FEATURE.to_owned(), String::new());
    } else {
        labels.remove(HOSTKEY_FEATURE);
    }
}

impl Audience {
    /// Of these nodes those whose Envoys have the module, or all others.
    #[must_use]
    pub fn by_module(self, has_module: bool) -> Self {
        let operator = if has_module { "Exists" } else { "DoesNotExist" };
        let expression = (HOSTKEY_FEATURE.to_owned(), operator.to_owned(), Vec::new());
        let mut selectors = match self {
            Self::All => vec![Selector::default()],
            Self::Any(selectors) => selectors.into_iter().collect(),
        };
        selectors.iter_mut().for_each(|selector| selector.expressions.push(expression.clone()));
        Self::Any(selectors.into_iter().collect())
    }

    /// The same nodes and their like, with the module or without.
    pub(super) fn of_any_module(&self) -> Self {
        let Self::Any(selectors) = self else { return Self::All };
        let mut selectors = selectors.clone().into_iter().collect::<Vec<_>>();
        selectors.iter_mut().for_each(|selector| selector.expressions.retain(|(key, ..)| key != HOSTKEY_FEATURE));
        if selectors.contains(&Selector::default()) { Self::All } else { Self::Any(selectors.into_iter().collect()) }
    }
}

impl Intents {
    /// Says whether a node's Envoy has the module. One that says nothing has none. Costs the offers that are not for all nodes.
    pub fn set_module(&mut self, node: &str, has_module: bool) -> BTreeSet<Key> {
        let old = self.labels(node).clone();
        if has_module {
            self.modules.insert(node.into());
        } else {
            self.modules.remove(node);
        }
        if let Some(labels) = self.labels.get_mut(node) {
            mark(labels, has_module);
        }
        self.moved(&old, self.labels(node))
    }

    /// Whether a node's Envoy has the module, as far as it said.
    #[must_use]
    pub fn has_module(&self, node: &str) -> bool {
        self.modules.contains(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_audience_is_of_those_with_the_module_or_of_those_without() {
        let mut intents = Intents::default();
        let [with, without] = [true, false].map(|has| Audience::All.by_module(has));
        let seen =
            |intents: &Intents, node| (with.includes(intents.labels(node)), without.includes(intents.labels(node)));
        assert_eq!(seen(&intents, "n"), (false, true), "it said nothing");
        intents.set_module("n", true);
        assert_eq!(seen(&intents, "n"), (true, false));
        // Whatever becomes of the object, and whatever stands in it.
        intents.set_labels("n", Some(labels(&[("zone", "a")])));
        assert_eq!(seen(&intents, "n"), (true, false));
        assert_eq!(intents.labels("n").get("zone").map(String::as_str), Some("a"));
        intents.set_module("n", false);
        assert_eq!(seen(&intents, "n"), (false, true));
        intents.set_labels("n", Some(labels(&[(HOSTKEY_FEATURE, "")])));
        assert_eq!(seen(&intents, "n"), (false, true));
        intents.set_labels("n", None);
        assert_eq!(seen(&intents, "n"), (false, true));
    }
}
