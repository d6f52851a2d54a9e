//! Envoy agrees, and sockets listen.

use std::collections::BTreeSet;

use axoneme_xds::{
    Key,
    type_urls::{LISTENER, ROUTE},
};

use super::{Op, Reconcile, Record, items::Served};
use crate::event::NodeEvent;

impl Reconcile {
    pub(super) fn accepted(&mut self, key: &Key, version: Option<&str>) {
        let Some(version) = version else { return self.removal_accepted(key) };
        let waiting = self.waiting_for(key);
        let Some(served) = self.items.get_mut(key).and_then(|item| item.served.as_mut()) else { return };
        if &*served.resource.version != version {
            return;
        }
        let (first, port) = (!served.accepted, served.port);
        served.accepted = true;
        self.unanswered.remove(key);
        self.overdue.remove(key);
        self.unasked.remove(key);
        self.release_good(key);
        if &*key.0 == ROUTE {
            for user in self.users_of(key) {
                self.release_good(&user);
            }
        }
        if first && self.is_in_force(key) {
            self.confirm(key);
        }
        self.come_into_force(waiting);
        self.has_warmed(key);
        match port {
            Some(port) if !self.listening.contains(&port) => self.say(Op::WatchListen(port)),
            Some(_) => self.refresh_listener(&key.1),
            None => {}
        }
        self.sweep();
    }

    /// Whether Envoy runs what it is told of a name. A listener needs its routes and secrets for that: it opens its socket
    /// with them, and Envoy's word about them may come later than the socket.
    pub(super) fn is_in_force(&self, key: &Key) -> bool {
        let served = self.items.get(key).and_then(|item| item.served.as_ref());
        served.is_some_and(|served| if &*key.0 == LISTENER { self.runs(served) } else { served.accepted })
    }

    /// Whether Envoy took a listener's version and some version of all that it refers to, as far as there is any: then all
    /// of it is on disk, and a restart without the operator can serve it.
    pub(super) fn runs(&self, listener: &Served) -> bool {
        let taken = |need: &Key| {
            let served = self.items.get(need).and_then(|item| item.served.as_ref());
            served.is_none_or(|served| served.accepted || served.good.is_some())
        };
        listener.accepted && listener.references.iter().all(taken)
    }

    /// The listeners that may wait for Envoy's word about a resource.
    pub(super) fn waiting_for(&self, key: &Key) -> Vec<Key> {
        let users = self.users_of(key).into_iter();
        users.filter(|user| &*user.0 == LISTENER && !self.is_in_force(user)).collect()
    }

    /// Confirms those of the listeners that wait no more.
    pub(super) fn come_into_force(&mut self, waiting: Vec<Key>) {
        for key in waiting {
            if self.is_in_force(&key) {
                self.confirm(&key);
                self.refresh_listener(&key.1);
            }
        }
    }

    /// Lets the last good version go once the new one is in force. A listener's is only when its routes are, too.
    fn release_good(&mut self, key: &Key) {
        let in_force =
            |key: &Key| self.items.get(key).and_then(|item| item.served.as_ref()).is_some_and(|served| served.accepted);
        let Some(served) = self.items.get(key).and_then(|item| item.served.as_ref()) else { return };
        let routes = served.references.iter().filter(|need| &*need.0 == ROUTE);
        if served.good.is_none() || !served.accepted || !routes.into_iter().all(in_force) {
            return;
        }
        if let Some(served) = self.items.get_mut(key).and_then(|item| item.served.as_mut()) {
            served.good = None;
        }
        self.list(key);
    }

    /// The wanted version is in force: keep it on disk and say so.
    pub(super) fn confirm(&mut self, key: &Key) {
        let Some(item) = self.items.get_mut(key) else { return };
        let (Some(wanted), Some(served)) = (&mut item.wanted, &item.served) else { return };
        if wanted.resource.version != served.origin.version {
            return;
        }
        let (resource, ticket) = (wanted.resource.clone(), wanted.ticket.take());
        let number = served.port.map_or(0, u32::from);
        let (type_url, name, version) = (key.0.clone(), key.1.clone(), resource.version.clone());
        self.say(Op::Persist(Record { resource, number }));
        self.succeed(key, ticket);
        self.tell(NodeEvent::Applied { type_url, name, version });
    }

    pub(super) fn now_listening(&mut self, port: u16) {
        let Some(name) = self.ports.holder(port).cloned() else { return };
        if self.listening.insert(port) {
            self.tell(NodeEvent::ListenerReady { name: name.clone(), port });
            self.refresh_listener(&name);
            self.sweep();
        }
    }

    /// Nobody waits for an answer any more that may never come. When it comes it counts all the same.
    pub(super) fn overdue(&mut self, key: Key, version: &str) {
        let served = self.items.get(&key).and_then(|item| item.served.as_ref());
        if served.is_some_and(|served| *served.resource.version == *version) && self.unanswered.remove(&key) {
            self.overdue.insert(key);
            self.sweep();
        }
    }

    /// Envoy is gone, or only its stream: what it said stays true of the kernel's sockets until they are looked at again.
    pub(super) fn envoy_lost(&mut self) {
        self.envoy_connected = false;
        self.listening.clear();
        self.nothing_warms();
        for (name, ticket) in std::mem::take(&mut self.closing) {
            self.closed(&name, ticket);
        }
        self.sweep();
    }

    /// All that belongs together is here: what nobody refers to now waits for nobody, and what nobody claims is left over.
    pub(super) fn quiet(&mut self) {
        let unused = |key: &Key| !self.is_referred_to(key);
        let unused: BTreeSet<Key> = self.unasked.iter().filter(|key| unused(key)).cloned().collect();
        for key in unused {
            self.unasked.remove(&key);
            self.confirm(&key);
        }
        if !self.complete {
            self.complete = true;
            if !self.keeps_clients {
                // An earlier run may have.
                self.say(Op::KeepClients(false));
            }
            for address in self.frontends.keys().copied().collect::<Vec<_>>() {
                self.refresh(address);
            }
        }
    }

    /// A listener or its port is not what it was: look at the redirects that lead to it.
    pub(super) fn refresh_listener(&mut self, name: &str) {
        for redirect in self.redirects_to.get(name).cloned().unwrap_or_default() {
            self.refresh_redirect(&redirect);
        }
    }

    fn removal_accepted(&mut self, key: &Key) {
        if &*key.0 == LISTENER
            && let Some(ticket) = self.closing.remove(&key.1)
        {
            self.closed(&key.1, ticket);
            self.sweep();
        }
    }
}
