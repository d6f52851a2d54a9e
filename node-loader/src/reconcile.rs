//! What should be, what is, and the steps between: the pure core of the node.
//!
//! Events come in, ordered operations come out; there is no clock and no I/O here. The order makes before it breaks:
//!
//! - up: port, then secrets, clusters and assignments, then routes once Envoy has their clusters, then a listener once its
//!   routes are known, then the redirect once a socket listens and Envoy took all that the listener refers to: what the
//!   kernel leads to is on disk before;
//! - down: redirect to draining, until its connections have ended or have had their time; then the listener, whose last
//!   connections Envoy asks to go, then what it referred to; the port rests.
//!
//! A resource that Envoy refuses harms itself only: its last good version stays, and it is not offered again until its
//! content changes. Each event costs what it touches, not what there is.

mod accept;
mod away;
mod crash;
mod frontends;
mod items;
mod op;
mod redirects;
mod refuse;
mod retire;
mod services;
mod sources;
mod summary;
mod warming;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axoneme_api::intent::REDIRECT;
use axoneme_xds::{Change, Key};

use crate::{
    config::OnProxyFailure,
    datapath::Entry,
    event::NodeEvent,
    listener::Ground,
    ports::{PortRange, Ports},
};

pub use op::{Event, Op, Record, Ticket};
pub use summary::{FrontendSummary, ListenerSummary, RedirectSummary, Rejection, Summary};

use frontends::Frontend;
use items::Item;
use redirects::Redirect;
use services::Services;
use warming::Warming;

/// What does not change in the life of a node.
pub struct Settings {
    /// Proxy ports to choose from.
    pub ports: PortRange,
    /// For Services with backends.
    pub on_proxy_failure: OnProxyFailure,
    /// How listeners are bound.
    pub ground: Ground,
    /// Whether a port could be bound by the proxy.
    pub is_free: Box<dyn Fn(u16) -> bool + Send>,
}

/// The state of a node. See the module.
pub struct Reconcile {
    settings: Settings,
    ports: Ports,
    items: BTreeMap<Key, Item>,
    /// Who refers to a resource: the reverse of what items want or serve.
    users: BTreeMap<Key, BTreeSet<Key>>,
    /// Served resources that nobody wants any more.
    retiring: BTreeSet<Key>,
    /// Listeners that Envoy was told to drop, with the operator's request for it.
    closing: BTreeMap<Arc<str>, Option<Ticket>>,
    /// Listeners and routes that Envoy has not answered.
    unanswered: BTreeSet<Key>,
    /// Those for whose answer nobody waits any more.
    overdue: BTreeSet<Key>,
    /// What was handed to Envoy and waits to be asked for.
    unasked: BTreeSet<Key>,
    /// Items whose served version is not the wanted one.
    behind: BTreeSet<Key>,
    /// Clusters that Envoy does not run yet, with what waits for them.
    warming: Warming,
    /// Versions that may not be offered until it is known what Envoy dies of.
    held: BTreeMap<Key, Arc<str>>,
    /// Versions that Envoy dies of, and what the operator is told.
    crashes: BTreeMap<Key, (Arc<str>, String)>,
    /// Listeners without a port, as none is left.
    starved: BTreeSet<Key>,
    listening: BTreeSet<u16>,
    envoy_connected: bool,
    /// Envoy has not been there for longer than a restart takes.
    away: bool,
    /// A listener was served in this run that keeps its clients' addresses upstream.
    keeps_clients: bool,
    /// Whether the operator has said all it has to say, so that what nobody claims is a leftover.
    complete: bool,
    redirects: BTreeMap<Arc<str>, Redirect>,
    redirects_to: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    services: Services,
    claims: BTreeMap<SocketAddr, BTreeSet<Arc<str>>>,
    frontends: BTreeMap<SocketAddr, Frontend>,
    /// How many frontends lead to a proxy port.
    loads: BTreeMap<u16, usize>,
    addresses: Vec<IpAddr>,
    rejections: BTreeMap<Key, String>,
    ops: Vec<Op>,
}

impl Reconcile {
    /// A node that wants nothing. `entries` is what the kernel has from an earlier run; it stays until it is known to be of
    /// no use.
    #[must_use]
    pub fn new(settings: Settings, entries: BTreeMap<SocketAddr, Entry>) -> Self {
        let (mut loads, mut services) = (BTreeMap::new(), Services::default());
        for entry in entries.values() {
            *loads.entry(entry.proxy_port).or_default() += 1;
            services.count(entry.service.0);
        }
        Self {
            loads,
            ports: Ports::new(settings.ports),
            settings,
            items: BTreeMap::new(),
            users: BTreeMap::new(),
            retiring: BTreeSet::new(),
            closing: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            overdue: BTreeSet::new(),
            unasked: BTreeSet::new(),
            behind: BTreeSet::new(),
            warming: Warming::default(),
            held: BTreeMap::new(),
            crashes: BTreeMap::new(),
            starved: BTreeSet::new(),
            listening: BTreeSet::new(),
            envoy_connected: false,
            away: false,
            keeps_clients: false,
            complete: false,
            redirects: BTreeMap::new(),
            redirects_to: BTreeMap::new(),
            services,
            claims: BTreeMap::new(),
            frontends: entries.into_iter().map(|(address, entry)| (address, Frontend::adopted(entry))).collect(),
            addresses: Vec::new(),
            rejections: BTreeMap::new(),
            ops: Vec::new(),
        }
    }

    /// Takes up what an earlier run had in force, before anything else: first what Envoy is known to live with (`proven`), then
    /// the rest.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, proven: bool) -> Vec<Op> {
        let (redirects, others): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| &*record.resource.type_url == REDIRECT);
        for record in others {
            if let Ok(port) = u16::try_from(record.number)
                && port > 0
            {
                self.ports.adopt(&record.resource.name, port);
            }
            let (key, version) = (record.resource.key(), record.resource.version.clone());
            self.put(record.resource, None);
            if proven {
                self.proven(&key, &version);
            }
        }
        for record in redirects {
            self.services.adopt(&record.resource.name, record.number);
            self.put_redirect(record.resource, None);
        }
        std::mem::take(&mut self.ops)
    }

    /// Takes an event in and says what to do about it, in order.
    pub fn apply(&mut self, event: Event) -> Vec<Op> {
        match event {
            Event::Intent { key, change: Change::Put(resource), ticket } if &*key.0 == REDIRECT => {
                self.put_redirect(resource, Some(ticket));
            }
            Event::Intent { key, change: Change::Remove, ticket } if &*key.0 == REDIRECT => {
                self.remove_redirect(&key.1, ticket);
            }
            Event::Intent { change: Change::Put(resource), ticket, .. } => self.put(resource, Some(ticket)),
            Event::Intent { key, change: Change::Remove, ticket } => self.remove(&key, ticket),
            Event::EnvoyConnected => self.envoy_connects(),
            Event::EnvoyLost => self.envoy_lost(),
            Event::Accepted { key, version } => self.accepted(&key, version.as_deref()),
            Event::Refused { key, version, message } => self.refused(&key, version.as_deref(), &message),
            Event::Listening { port } => self.now_listening(port),
            Event::FrontendSet { address, result } => self.frontend_set(address, result),
            Event::SourcesSet { name, result } => self.sources_set(&name, result),
            Event::Expired { address } => self.expired(address),
            Event::Drained { address } => self.drained(address),
            Event::NodeAddresses(addresses) => self.readdress(addresses),
            Event::Overdue { key, version } => self.overdue(key, &version),
            Event::Hold { key, version } => self.hold(&key, version),
            Event::Release { key } => self.let_go(&key),
            Event::Crashed { key, version } => self.crashed(&key, version),
            Event::Proven { key, version } => self.proven(&key, &version),
            Event::ProxyAway => self.proxy_away(),
            Event::LookForPorts => self.look_for_ports(),
            Event::Quiet => self.quiet(),
        }
        std::mem::take(&mut self.ops)
    }

    fn say(&mut self, op: Op) {
        self.ops.push(op);
    }

    fn tell(&mut self, event: NodeEvent) {
        self.ops.push(Op::Tell(event));
    }

    fn settle(&mut self, ticket: Option<Ticket>, result: Result<(), String>) {
        if let Some(ticket) = ticket {
            self.say(Op::Settle(ticket, result));
        }
    }

    /// A version is in force. If it was refused before, for want of a port or for somebody else's claim, nobody waits for an
    /// answer any more: the operator is made to ask again.
    fn succeed(&mut self, key: &Key, ticket: Option<Ticket>) {
        if self.rejections.remove(key).is_some() && ticket.is_none() {
            self.say(Op::TakeBack(key.clone(), None));
        }
        self.settle(ticket, Ok(()));
    }

    /// The operator's update is of no interest any more: a later one about the same name came.
    fn overtake(&mut self, ticket: Option<Ticket>) {
        self.settle(ticket, Err("overtaken by a later version".to_owned()));
    }

    fn reject(&mut self, key: &Key, ticket: Option<Ticket>, message: String) {
        self.settle(ticket, Err(message.clone()));
        if self.rejections.get(key) != Some(&message) {
            let (type_url, name) = key.clone();
            self.tell(NodeEvent::Rejected { type_url, name, message: message.clone() });
            self.rejections.insert(key.clone(), message);
        }
    }
}

#[cfg(test)]
mod tests;
