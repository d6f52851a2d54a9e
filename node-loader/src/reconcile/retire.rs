//! What nobody wants any more goes, after everything that may still use it.

use std::sync::Arc;

use axoneme_xds::{Key, type_urls::LISTENER};
use memchr::memmem;

use super::{Op, Reconcile, Ticket};
use crate::event::NodeEvent;

impl Reconcile {
    pub(super) fn remove(&mut self, key: &Key, ticket: Ticket) {
        self.behind.remove(key);
        self.starved.remove(key);
        self.unasked.remove(key);
        self.rejections.remove(key);
        self.forgive(key, None);
        // It must not come back with a restart.
        self.say(Op::Forget(key.clone()));
        let Some(item) = self.items.get_mut(key) else {
            return match self.closing.get_mut(&key.1).filter(|_| &*key.0 == LISTENER) {
                Some(closing) => {
                    let before = closing.replace(ticket);
                    self.overtake(before);
                }
                None => self.settle(Some(ticket), Ok(())),
            };
        };
        let overtaken = item.wanted.take().and_then(|wanted| wanted.ticket).or(item.removal.take());
        let served = item.served.is_some();
        if served {
            item.removal = Some(ticket);
            self.retiring.insert(key.clone());
        }
        self.overtake(overtaken);
        self.list(key);
        if &*key.0 == LISTENER {
            self.refresh_listener(&key.1);
        }
        if !served {
            self.closed_or_settled(key, Some(ticket));
        }
        self.sweep();
    }

    /// Takes away what can go now: O(listeners that wait to go), and when there are none O(what waits to go). So a thousand
    /// removals cost a thousand steps while a listener drains, not a million.
    pub(super) fn sweep(&mut self) {
        for key in self.leaving_listeners().cloned().collect::<Vec<_>>() {
            if !self.carries_traffic(&key) {
                self.unserve(&key);
            }
        }
        // The rest waits for them. References among the rest are shallow, so a second look is enough.
        for _ in 0..2 {
            if self.is_leaving() {
                return;
            }
            for key in self.retiring.iter().cloned().collect::<Vec<_>>() {
                if !self.may_be_used(&key) {
                    self.unserve(&key);
                }
            }
        }
    }

    fn leaving_listeners(&self) -> impl Iterator<Item = &Key> {
        let first: Key = (LISTENER.into(), "".into());
        self.retiring.range(first..).take_while(|key| &*key.0 == LISTENER)
    }

    /// Whether a listener goes, or Envoy has not said yet that it is gone: what it refers to stays.
    fn is_leaving(&self) -> bool {
        self.leaving_listeners().next().is_some() || !self.closing.is_empty()
    }

    /// Whether the kernel still leads to a listener's port.
    fn carries_traffic(&self, key: &Key) -> bool {
        let port = self.items.get(key).and_then(|item| item.served.as_ref()).and_then(|served| served.port);
        port.is_some_and(|port| self.loads.contains_key(&port))
    }

    /// Whether Envoy may need it for what it runs at this moment, while no listener is leaving.
    fn may_be_used(&self, key: &Key) -> bool {
        if self.is_referred_to(key) {
            return true;
        }
        let asked = |key: &Key| &*key.0 == LISTENER || self.is_referred_to(key);
        let unsure = self.envoy_connected && self.unanswered.iter().any(asked);
        unsure || self.is_mentioned(key)
    }

    /// Whether an old version that is still served has the name in it. Only what is refused or held back is looked at, as
    /// bytes: a cluster's name may stand in places that we do not know of.
    fn is_mentioned(&self, key: &Key) -> bool {
        self.behind.iter().filter(|other| *other != key).any(|other| {
            let served = self.items.get(other).and_then(|item| item.served.as_ref());
            served.is_some_and(|served| memmem::find(&served.resource.body, key.1.as_bytes()).is_some())
        })
    }

    fn unserve(&mut self, key: &Key) {
        self.retiring.remove(key);
        self.overdue.remove(key);
        self.unanswered.remove(key);
        self.unasked.remove(key);
        let Some(item) = self.items.get_mut(key) else { return };
        let served = item.served.take();
        let ticket = item.removal.take();
        self.list(key);
        self.falls_silent(served.and_then(|served| served.port));
        self.say(Op::Unserve(key.clone()));
        self.has_warmed(key);
        if &*key.0 == LISTENER && self.envoy_connected {
            self.closing.insert(key.1.clone(), ticket);
        } else {
            self.closed_or_settled(key, ticket);
        }
    }

    /// Envoy will close the port, so that it has to be looked at again before it is used.
    pub(super) fn falls_silent(&mut self, port: Option<u16>) {
        if let Some(port) = port {
            self.listening.remove(&port);
        }
    }

    fn closed_or_settled(&mut self, key: &Key, ticket: Option<Ticket>) {
        if &*key.0 == LISTENER { self.closed(&key.1, ticket) } else { self.settle(ticket, Ok(())) }
    }

    /// Envoy has closed a listener's sockets: its port is free for others, unless the name is wanted again.
    pub(super) fn closed(&mut self, name: &Arc<str>, ticket: Option<Ticket>) {
        self.settle(ticket, Ok(()));
        let key: Key = (LISTENER.into(), name.clone());
        if self.items.contains_key(&key) {
            return;
        }
        if self.ports.get(name).is_some() {
            self.ports.release(name);
            self.tell(NodeEvent::ListenerGone { name: name.clone() });
        }
        self.look_for_ports();
    }
}
