//! Single addresses in the kernel's map.

use std::net::SocketAddr;

use super::{Op, Reconcile};
use crate::datapath::{Entry, FrontendState};

/// What the kernel was told of one address.
#[derive(Debug)]
pub(super) struct Frontend {
    pub(super) entry: Entry,
    /// The kernel has agreed.
    pub(super) set: bool,
    /// The kernel's words, if it has not.
    pub(super) failure: Option<String>,
    /// Found at start, and nobody has claimed it yet.
    leftover: bool,
    /// Whether the listener that it leads to stays for its sake.
    keeps_listener: bool,
}

impl Frontend {
    /// Found in the map at start.
    pub(super) fn adopted(entry: Entry) -> Self {
        Self { entry, set: true, failure: None, leftover: true, keeps_listener: true }
    }
}

impl Reconcile {
    /// Brings one address to where it should be.
    pub(super) fn refresh(&mut self, address: SocketAddr) {
        let owner = self.claims.get(&address).and_then(|claims| claims.first()).cloned();
        let entry = owner.as_deref().and_then(|owner| self.entry(owner, address));
        match (entry, self.frontends.get_mut(&address)) {
            (Some(entry), Some(now)) if now.entry == entry && now.failure.is_none() => now.leftover = false,
            (Some(entry), _) => self.set_frontend(address, entry),
            (None, Some(now)) if now.entry.state == FrontendState::On => {
                let (now, known) = (now.entry, self.complete || !now.leftover);
                let stays_shut = owner.as_deref().is_some_and(|owner| self.stays_shut(owner, &now));
                let of_use = stays_shut || owner.is_some() && self.leads_somewhere(now.proxy_port);
                if known && !of_use {
                    self.set_frontend(address, Entry { state: FrontendState::Draining, ..now });
                    self.say(Op::Drain(address));
                }
            }
            (None, Some(now)) => {
                // Draining; one that was found like this at start is not watched yet.
                if self.complete && now.leftover {
                    now.leftover = false;
                    self.say(Op::Drain(address));
                }
            }
            (None, None) => {
                if let Some(shut) = owner.as_deref().and_then(|owner| self.shut_entry(owner, address)) {
                    self.set_frontend(address, shut);
                }
            }
        }
    }

    /// Whether a wanted listener is served on the port.
    fn leads_somewhere(&self, port: u16) -> bool {
        let holder = self.ports.holder(port);
        let key = holder.map(|name| (axoneme_xds::type_urls::LISTENER.into(), name.clone()));
        let item = key.and_then(|key| self.items.get(&key));
        item.is_some_and(|item| item.wanted.is_some() && item.served.is_some())
    }

    fn set_frontend(&mut self, address: SocketAddr, entry: Entry) {
        let new = Frontend { entry, set: false, failure: None, leftover: false, keeps_listener: true };
        let before = self.frontends.insert(address, new);
        *self.loads.entry(entry.proxy_port).or_default() += 1;
        self.services.count(entry.service.0);
        self.unload(before);
        self.say(Op::SetFrontend(address, entry));
    }

    fn unload(&mut self, gone: Option<Frontend>) {
        let Some(gone) = gone else { return };
        self.services.uncount(gone.entry.service.0);
        if gone.keeps_listener {
            self.unload_port(gone.entry.proxy_port);
        }
    }

    fn unload_port(&mut self, port: u16) {
        if let Some(load) = self.loads.get_mut(&port) {
            *load -= 1;
            if *load == 0 {
                self.loads.remove(&port);
            }
        }
    }

    pub(super) fn frontend_set(&mut self, address: SocketAddr, result: Result<(), String>) {
        let Some(frontend) = self.frontends.get_mut(&address) else { return };
        frontend.set = result.is_ok();
        frontend.failure = result.err();
        if let Some(owner) = self.claims.get(&address).and_then(|claims| claims.first()).cloned() {
            self.settle_redirect(&owner);
        }
        self.sweep();
    }

    /// Its connections have had their time: the listener goes, so that Envoy asks them to go. They are carried meanwhile.
    pub(super) fn expired(&mut self, address: SocketAddr) {
        let Some(frontend) = self.frontends.get_mut(&address) else { return };
        if frontend.entry.state == FrontendState::Draining && std::mem::take(&mut frontend.keeps_listener) {
            let port = frontend.entry.proxy_port;
            self.unload_port(port);
            self.sweep();
        }
    }

    pub(super) fn drained(&mut self, address: SocketAddr) {
        let draining = |frontend: &Frontend| frontend.entry.state == FrontendState::Draining;
        if self.frontends.get(&address).is_some_and(draining) {
            let before = self.frontends.remove(&address);
            self.unload(before);
            self.say(Op::RemoveFrontend(address));
            // Somebody may have claimed it meanwhile.
            self.refresh(address);
            self.sweep();
        }
    }
}
