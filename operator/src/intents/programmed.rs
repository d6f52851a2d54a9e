//! How far nodes got with what an owner offers, by what they answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use axoneme_xds::Key;

use super::answers::{Heard, Said};
use super::{Audience, Intent, Intents, Offer, Programmed, Rejection};
use crate::source::ObjectKey;

/// What an owner offers for a key, and the older offers that may stand before it.
struct Claim<'a> {
    intent: &'a Intent,
    audience: &'a Audience,
    older: &'a [Offer],
}

impl Claim<'_> {
    /// Whether a node with these labels gets what is offered.
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        self.audience.includes(labels) && !self.older.iter().any(|offer| offer.audience.includes(labels))
    }
}

impl Intents {
    /// Whether some node refused some version of what an owner offers. Costs what it offers.
    #[must_use]
    pub fn is_refused(&self, owner: &ObjectKey) -> bool {
        let mut keys = self.owned.get(owner).into_iter().flatten();
        keys.any(|key| self.answers.heard(key).is_some_and(Heard::is_refused))
    }

    /// How far an owner got. Costs what it offers times the nodes, a bit test each.
    #[must_use]
    pub fn programmed(&self, owner: &ObjectKey) -> Programmed {
        let keys = self.owned.get(owner).into_iter().flatten();
        self.programmed_of(keys.map(|key| (owner, key)))
    }

    /// How far some resources got, each with its owner. Costs them times the nodes.
    pub fn programmed_of<'a>(&'a self, resources: impl Iterator<Item = (&'a ObjectKey, &'a Key)>) -> Programmed {
        let claim = |(owner, key)| Some((key, self.claim(key, owner)?, self.answers.heard(key)));
        let claims: Vec<_> = resources.filter_map(claim).collect();
        let mine = |node: &str| {
            let labels = self.labels(node);
            claims.iter().filter(move |(_, claim, _)| claim.holds(labels))
        };
        let mut sum = Programmed::default();
        for (node, voice) in self.answers.present() {
            let (mut meant, mut waits, refusals) = (false, false, sum.rejections.len());
            for (key, claim, heard) in mine(node) {
                meant = true;
                match heard.map_or(Said::Nothing, |heard| heard.said(voice, &claim.intent.resource.version)) {
                    Said::Runs => {}
                    Said::Nothing => waits |= claim.intent.awaited,
                    Said::Refuses(message) => {
                        let (node, resource, message) = (node.clone(), key.1.clone(), message.clone());
                        sum.rejections.push(Rejection { node, resource, message });
                    }
                }
            }
            let refused = sum.rejections.len() > refusals;
            sum.nodes += usize::from(meant);
            sum.done += usize::from(meant && !waits && !refused);
            if waits && !refused {
                sum.waiting.push(node.clone());
            }
        }
        for node in self.absent_nodes().filter(|node| mine(node).next().is_some()) {
            sum.nodes += 1;
            sum.absent.push(node.clone());
        }
        sum
    }

    /// Which nodes refuse one resource as an owner offers it now, and why. Costs the nodes.
    #[must_use]
    pub fn rejections(&self, owner: &ObjectKey, key: &Key) -> Vec<Rejection> {
        let (Some(claim), Some(heard)) = (self.claim(key, owner), self.answers.heard(key)) else { return Vec::new() };
        let nodes = self.answers.present().filter(|(node, _)| claim.holds(self.labels(node)));
        let rejection = |(node, voice): (&Arc<str>, _)| match heard.said(voice, &claim.intent.resource.version) {
            Said::Refuses(message) => {
                Some(Rejection { node: node.clone(), resource: key.1.clone(), message: message.clone() })
            }
            Said::Runs | Said::Nothing => None,
        };
        nodes.filter_map(rejection).collect()
    }

    fn claim(&self, key: &Key, owner: &ObjectKey) -> Option<Claim<'_>> {
        let offers = self.offers(&key.0, &key.1);
        let at = offers.iter().position(|offer| offer.rank.1 == *owner)?;
        Some(Claim { intent: &offers[at].intent, audience: &offers[at].audience, older: &offers[..at] })
    }
}
