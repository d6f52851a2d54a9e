//! One Envoy resource from the operator's wish to what Envoy is told.

use std::collections::BTreeSet;

use axoneme_xds::{
    Key, Resource,
    type_urls::{LISTENER, ROUTE},
};

use super::{Op, Reconcile, Ticket};
use crate::{
    listener::{self, Binding},
    ports,
    references::references,
};

/// All that is known of one name.
#[derive(Debug, Default)]
pub(super) struct Item {
    /// What the operator wants.
    pub(super) wanted: Option<Wanted>,
    /// What Envoy is told.
    pub(super) served: Option<Served>,
    /// The operator's request to remove it.
    pub(super) removal: Option<Ticket>,
    /// The last version that Envoy is known to live with, while it is told another.
    pub(super) fallback: Option<Box<Served>>,
    /// What it is listed in `users` for.
    listed: BTreeSet<Key>,
}

impl Item {
    /// Whether the operator wants a listener here that brings its own address.
    pub(super) fn is_bound_as_written(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.binding == Binding::AsWritten)
    }
}

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) resource: Resource,
    pub(super) ticket: Option<Ticket>,
    /// Envoy refused this version.
    pub(super) refused: Option<String>,
    pub(super) references: BTreeSet<Key>,
    binding: Binding,
}

#[derive(Debug, Clone)]
pub(super) struct Served {
    /// As Envoy gets it.
    pub(super) resource: Resource,
    /// As the operator sent it.
    pub(super) origin: Resource,
    pub(super) references: BTreeSet<Key>,
    /// A listener's proxy port.
    pub(super) port: Option<u16>,
    pub(super) accepted: bool,
    /// Envoy has lived with it for a while.
    pub(super) proven: bool,
    /// How often its port was changed because of a conflict.
    pub(super) moves: u8,
    /// What is in force at Envoy until this is.
    pub(super) good: Option<Box<Self>>,
}

impl Reconcile {
    /// A resource is new or changed.
    pub(super) fn put(&mut self, resource: Resource, ticket: Option<Ticket>) {
        let key = resource.key();
        let read =
            references(&key.0, &resource.body).and_then(|references| Ok((references, binding(&key, &resource)?)));
        let (references, binding) = match read {
            Ok(read) => read,
            Err(error) => return self.reject(&key, ticket, format!("the bytes are no {}: {error}", key.0)),
        };
        self.forgive(&key, Some(&resource.version));
        let refused = self.crashes.get(&key).map(|(_, message)| message.clone());
        let item = self.items.entry(key.clone()).or_default();
        let removal = item.removal.take();
        let same = item.wanted.as_ref().is_some_and(|wanted| wanted.resource.version == resource.version);
        let overtaken = if same && let Some(wanted) = &mut item.wanted {
            std::mem::replace(&mut wanted.ticket, ticket)
        } else {
            let wanted = Wanted { resource, ticket, refused, references, binding };
            item.wanted.replace(wanted).and_then(|before| before.ticket)
        };
        self.overtake(removal);
        self.overtake(overtaken);
        self.retiring.remove(&key);
        if &*key.0 == LISTENER {
            // Envoy may never see that it was away.
            let closing = self.closing.remove(&key.1).flatten();
            self.overtake(closing);
        }
        self.list(&key);
        self.advance(&key);
        if &*key.0 == LISTENER {
            self.refresh_listener(&key.1);
        }
        self.sweep();
    }

    /// Brings what is served closer to what is wanted.
    pub(super) fn advance(&mut self, key: &Key) {
        let Some(wanted) = self.items.get(key).and_then(|item| item.wanted.as_ref()) else { return };
        if let Some(message) = wanted.refused.clone() {
            let ticket = self.ticket(key);
            if ticket.is_some() {
                self.reject(key, ticket, message);
            }
            return;
        }
        let served = self.items.get(key).and_then(|item| item.served.as_ref());
        if served.is_some_and(|served| served.origin.version == wanted.resource.version) {
            self.behind.remove(key);
            if self.is_in_force(key) {
                self.confirm(key);
            } else if is_on_demand(key) {
                self.unasked.insert(key.clone());
            }
            return;
        }
        let binding = wanted.binding;
        let held = self.held.get(key) == Some(&wanted.resource.version);
        if held || !self.has_its_routes(&wanted.references) || self.waits_for_cluster(key) {
            self.behind.insert(key.clone());
            return;
        }
        let name = key.1.clone();
        if binding == Binding::AsWritten {
            self.serve(key, None, 0);
            return;
        }
        match self.ports.allocate(&name, &self.settings.is_free) {
            Ok(port) => self.serve(key, Some(port), 0),
            Err(exhausted) => self.starve(key, &exhausted),
        }
    }

    /// Whether a listener waits for a port that others have.
    #[must_use]
    pub fn starves(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Looks for ports for those that have none. What one does not find, the others do not either.
    pub(super) fn look_for_ports(&mut self) {
        let mut waiting = std::mem::take(&mut self.starved).into_iter();
        for key in waiting.by_ref() {
            self.advance(&key);
            if self.starves() {
                break;
            }
        }
        self.starved.extend(waiting);
    }

    pub(super) fn starve(&mut self, key: &Key, exhausted: &ports::Exhausted) {
        self.starved.insert(key.clone());
        self.behind.insert(key.clone());
        let ticket = self.ticket(key);
        self.reject(key, ticket, exhausted.to_string());
    }

    /// Offers the wanted version to Envoy.
    pub(super) fn serve(&mut self, key: &Key, port: Option<u16>, moves: u8) {
        let Some(item) = self.items.get_mut(key) else { return };
        let Some(wanted) = &item.wanted else { return };
        let resource = match port {
            None => wanted.resource.clone(),
            Some(port) => match listener::bind(&wanted.resource.body, port, self.settings.ground) {
                Ok(body) => Resource::new(key.0.clone(), key.1.clone(), body),
                // `put` has read it already.
                Err(_) => return,
            },
        };
        if &*key.0 == LISTENER && listener::keeps_clients(&resource.body) && !self.keeps_clients {
            self.keeps_clients = true;
            // Until the next run: connections of a listener that is gone still end.
            self.ops.push(Op::KeepClients(true));
        }
        let before = item.served.take();
        if let Some(proven) = before.as_ref().filter(|before| before.proven) {
            item.fallback = Some(Box::new(proven.clone()));
        }
        let good = before.and_then(|mut before| match before.good.take() {
            None if before.accepted => Some(Box::new(before)),
            good => good,
        });
        let (origin, references) = (wanted.resource.clone(), wanted.references.clone());
        item.served = Some(Served {
            resource: resource.clone(),
            origin,
            references,
            port,
            accepted: false,
            proven: false,
            moves,
            good,
        });
        self.behind.remove(key);
        self.starved.remove(key);
        if is_on_demand(key) {
            self.unasked.insert(key.clone());
        }
        self.overdue.remove(key);
        if matches!(&*key.0, LISTENER | ROUTE) {
            self.unanswered.insert(key.clone());
        }
        self.say(Op::Serve(resource));
        self.list(key);
        self.begins_to_warm(key);
        if &*key.0 == ROUTE {
            for user in self.users_of(key) {
                self.advance(&user);
            }
        }
    }

    pub(super) fn has_its_routes(&self, references: &BTreeSet<Key>) -> bool {
        references.iter().all(|need| &*need.0 != ROUTE || self.is_served(need))
    }

    pub(super) fn is_served(&self, key: &Key) -> bool {
        self.items.get(key).is_some_and(|item| item.served.is_some())
    }

    pub(super) fn ticket(&mut self, key: &Key) -> Option<Ticket> {
        self.items.get_mut(key)?.wanted.as_mut()?.ticket.take()
    }

    /// Whether Envoy was told of anything that refers to it.
    pub(super) fn is_referred_to(&self, key: &Key) -> bool {
        let refers = |user: &Key| {
            self.items.get(user).and_then(|item| item.served.as_ref()).is_some_and(|served| {
                served.references.contains(key)
                    || served.good.as_ref().is_some_and(|good| good.references.contains(key))
            })
        };
        self.users.get(key).is_some_and(|users| users.iter().any(refers))
    }

    pub(super) fn users_of(&self, key: &Key) -> Vec<Key> {
        self.users.get(key).into_iter().flatten().cloned().collect()
    }

    /// Keeps `users` true after a change of an item, and drops the item when there is nothing left to know.
    pub(super) fn list(&mut self, key: &Key) {
        let Some(item) = self.items.get_mut(key) else { return };
        let wanted = item.wanted.iter().flat_map(|wanted| &wanted.references);
        let served = item
            .served
            .iter()
            .flat_map(|served| served.references.iter().chain(served.good.iter().flat_map(|good| &good.references)));
        let now: BTreeSet<Key> = wanted.chain(served).cloned().collect();
        let before = std::mem::replace(&mut item.listed, now.clone());
        if item.wanted.is_none() && item.served.is_none() {
            self.items.remove(key);
        }
        for gone in before.difference(&now) {
            if let Some(users) = self.users.get_mut(gone) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(gone);
                }
            }
        }
        for new in now.difference(&before) {
            self.users.entry(new.clone()).or_default().insert(key.clone());
        }
    }
}

/// Whether Envoy asks for resources of this type only when something refers to them.
pub(super) fn is_on_demand(key: &Key) -> bool {
    use axoneme_xds::type_urls::{ENDPOINTS, SECRET};
    matches!(&*key.0, ENDPOINTS | SECRET | ROUTE)
}

fn binding(key: &Key, resource: &Resource) -> Result<Binding, prost::DecodeError> {
    if &*key.0 == LISTENER { listener::binding(&resource.body) } else { Ok(Binding::AsWritten) }
}
