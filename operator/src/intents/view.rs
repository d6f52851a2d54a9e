//! The resources as one node sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axoneme_xds::{Key, Resource, View};

use super::{Intents, Offer};
use crate::source::ObjectKey;

/// The resources that one node may see. Nothing is copied: a view is a pair of references.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    pub(super) intents: &'a Intents,
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl<'a> NodeView<'a> {
    fn winner(&self, type_url: &str, name: &str) -> Option<&'a Offer> {
        self.intents.offers(type_url, name).iter().find(|offer| offer.audience.includes(self.labels))
    }

    /// Everything, in order of type and name.
    pub fn iter(&self) -> impl Iterator<Item = &'a Resource> {
        self.owned().map(|(_, resource)| resource)
    }

    /// Everything with its owner, in order of type and name.
    pub fn owned(&self) -> impl Iterator<Item = (&'a ObjectKey, &'a Resource)> {
        let labels = self.labels;
        let offers = self.intents.offers.values().flat_map(BTreeMap::values);
        let seen = offers.filter_map(|offers| offers.iter().find(|offer| offer.audience.includes(labels)));
        seen.map(|offer| (&offer.rank.1, &offer.intent.resource))
    }
}

impl View for NodeView<'_> {
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        self.winner(type_url, name).map(|offer| offer.intent.resource.clone())
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        let names = self.intents.offers.get(type_url).into_iter().flatten();
        let seen = names.filter(|(_, offers)| offers.iter().any(|offer| offer.audience.includes(self.labels)));
        seen.map(|(name, _)| name.clone()).collect()
    }

    fn follow(&self, type_url: &str, name: &str) -> Option<Key> {
        let endpoints = self.winner(type_url, name)?.intent.endpoints.clone()?;
        Some((axoneme_xds::type_urls::ENDPOINTS.into(), endpoints))
    }
}
