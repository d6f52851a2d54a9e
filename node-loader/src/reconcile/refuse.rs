//! Envoy refuses.

use axoneme_xds::{
    Key,
    type_urls::{LISTENER, ROUTE},
};

use super::{Op, Reconcile};
use crate::event::NodeEvent;

/// So many ports are tried for one version of a listener.
const MOVES: u8 = 5;

impl Reconcile {
    pub(super) fn refused(&mut self, key: &Key, version: Option<&str>, message: &str) {
        let Some(item) = self.items.get_mut(key) else { return };
        let Some(served) = item.served.as_ref() else { return };
        if Some(&*served.resource.version) != version {
            return;
        }
        let is_wanted = item.wanted.as_ref().is_some_and(|wanted| wanted.resource.version == served.origin.version);
        let (port, moves) = (served.port, served.moves);
        self.unanswered.remove(key);
        self.overdue.remove(key);
        self.unasked.remove(key);
        if let Some(port) = port
            && is_wanted
            && moves < MOVES
            && is_port_conflict(message)
        {
            return self.move_listener(key, port, moves + 1);
        }
        let message = essence(message);
        if is_wanted {
            if let Some(wanted) = self.items.get_mut(key).and_then(|item| item.wanted.as_mut()) {
                wanted.refused = Some(message.clone());
            }
            let ticket = self.ticket(key);
            self.reject(key, ticket, message);
        }
        self.fall_back(key, false);
        self.sweep();
    }

    /// Somebody else has the port.
    fn move_listener(&mut self, key: &Key, port: u16, moves: u8) {
        self.listening.remove(&port);
        self.tell(NodeEvent::PortConflict { name: key.1.clone(), port });
        match self.ports.replace(&key.1, &self.settings.is_free) {
            Ok(port) => self.serve(key, Some(port), moves),
            Err(exhausted) => {
                self.starve(key, &exhausted);
                self.fall_back(key, false);
            }
        }
    }

    /// Offers the last good version again, so that a new Envoy starts with it. Without one, the name is not served. After a
    /// crash it is only good if Envoy is known to live with it (`only_proven`).
    pub(super) fn fall_back(&mut self, key: &Key, only_proven: bool) {
        let waiting = self.waiting_for(key);
        let Some(item) = self.items.get_mut(key) else { return };
        let refused = item.served.take();
        let port = refused.as_ref().and_then(|served| served.port);
        let good = refused.and_then(|served| served.good).filter(|good| good.proven || !only_proven);
        let good = good.or_else(|| item.fallback.take());
        let good = good.filter(|good| self.has_its_routes(&good.references));
        let Some(item) = self.items.get_mut(key) else { return };
        if item.wanted.is_some() {
            self.behind.insert(key.clone());
        }
        if let Some(good) = good {
            let (resource, port) = (good.resource.clone(), good.port);
            item.served = Some(*good);
            self.say(Op::Serve(resource));
            if let Some(port) = port
                && self.ports.get(&key.1) != Some(port)
            {
                self.ports.adopt(&key.1, port);
            }
        } else {
            let removal = item.removal.take();
            self.say(Op::Unserve(key.clone()));
            self.falls_silent(port);
            self.retiring.remove(key);
            self.settle(removal, Ok(()));
        }
        self.list(key);
        if &*key.0 == ROUTE && !self.is_served(key) {
            // A listener without its routes would keep all others from starting.
            for user in self.users_of(key) {
                let refers = |served: &super::items::Served| served.references.contains(key);
                if self.items.get(&user).and_then(|item| item.served.as_ref()).is_some_and(refers) {
                    self.unanswered.remove(&user);
                    self.fall_back(&user, false);
                }
            }
        }
        self.come_into_force(waiting);
        self.has_warmed(key);
        if &*key.0 == LISTENER {
            self.refresh_listener(&key.1);
        }
    }
}

/// Envoy's words for a port that is taken.
fn is_port_conflict(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["cannot bind", "address already in use", "duplicate address"].iter().any(|words| message.contains(words))
}

/// Envoy's reason without the dump of the whole message that precedes it.
fn essence(message: &str) -> String {
    let reason = match message.rsplit_once("Proto constraint validation failed (") {
        Some((_, reason)) => reason.trim_end().strip_suffix(')').unwrap_or(reason),
        None => message.trim_end().lines().next_back().unwrap_or_default(),
    };
    reason.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_kept_and_the_dump_is_not() {
        let message = "Proto constraint validation failed (ClusterValidationError.ConnectTimeout: value must be > 0s)";
        assert_eq!(essence(message), "ClusterValidationError.ConnectTimeout: value must be > 0s");
        assert_eq!(
            essence("Error adding/updating listener(s) a: b (c)\n"),
            "Error adding/updating listener(s) a: b (c)"
        );
    }

    #[test]
    fn conflicts_are_told_from_mistakes() {
        assert!(is_port_conflict("cannot bind '127.0.0.1:15009': Address already in use"));
        assert!(is_port_conflict("error: 'a' has duplicate address '127.0.0.1:1' as existing listener"));
        assert!(!is_port_conflict("unknown filter"));
    }
}
