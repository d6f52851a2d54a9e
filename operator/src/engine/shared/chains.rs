//! The listener of shared mode: a filter chain for each name with a certificate, and for each that is passed through.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::maker::{Maker, told};
use crate::intents::Intent;
use crate::model::Host;
use crate::shared::Handshake;
use crate::translate::shared::{self, Routing};

/// What becomes of the listener.
#[derive(Debug)]
pub(super) enum Amendment {
    /// It is as it was.
    Nothing,
    /// It is new, or other chains are in it.
    Told(Intent),
    /// There is none any more.
    Withdrawn,
}

/// The chains by the host that clients ask for, encoded, each with what it is made of.
#[derive(Debug, Default)]
pub(super) struct Chains {
    by_host: BTreeMap<Host, (Handshake, Bytes)>,
    is_told: bool,
}

impl Chains {
    /// Takes in hosts that changed. Costs these, and a copy of the bytes of all chains when one of them is another.
    pub(super) fn update(&mut self, maker: &Maker<'_>, routing: Routing, changed: &BTreeSet<Host>) -> Amendment {
        let mut is_other = false;
        for host in changed {
            is_other |= self.note(maker, routing, host);
        }
        let was_told = std::mem::replace(&mut self.is_told, !maker.hosts.is_empty());
        match (was_told, self.is_told) {
            (true, false) => Amendment::Withdrawn,
            (false, false) => Amendment::Nothing,
            (true, true) if !is_other => Amendment::Nothing,
            (_, true) => {
                let Some(head) = told(shared::listener_head(&maker.origin, maker.defaults, routing), "listener", "")
                else {
                    return Amendment::Nothing;
                };
                let chains = self.by_host.values().map(|(_, chain)| chain);
                Amendment::Told(shared::listener(&maker.origin, &head, chains))
            }
        }
    }

    /// Makes the chain of a host anew, if it is another now. One that cannot be made leaves the last one.
    fn note(&mut self, maker: &Maker<'_>, routing: Routing, host: &Host) -> bool {
        let now = maker.hosts.handshake(host);
        if self.by_host.get(host).map(|(before, _)| before) == now {
            return false;
        }
        let Some(handshake) = now else { return self.by_host.remove(host).is_some() };
        let made = shared::chain(&maker.origin, maker.defaults, routing, host, handshake);
        let Some(chain) = told(made, "filter chain", &host.pattern()) else { return false };
        self.by_host.insert(host.clone(), (handshake.clone(), chain));
        true
    }
}
