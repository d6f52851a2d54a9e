//! A world for the core: an Envoy that refuses what says "bad", a kernel, a disk. It checks what must always hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use axoneme_api::intent::{Frontend, REDIRECT, Redirect};
use axoneme_xds::{
    Change, Key, Resource,
    type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET},
};
use memchr::memmem;
use prost::Message as _;

use super::super::*;
use crate::{
    datapath::{FrontendState, OnProxyFailure as OnFailure, ServiceId, SourceRange, Sources},
    mentions::mention,
    references::references,
};

pub(super) fn key(type_url: &str, name: &str) -> Key {
    (type_url.into(), name.into())
}

pub(super) fn resource(type_url: &str, name: &str, body: impl Into<Vec<u8>>) -> Resource {
    Resource::new(type_url, name, body.into())
}

/// An assignment; Envoy's answer does not depend on its content.
pub(super) fn assignment(name: &str, revision: u8) -> Resource {
    resource(ENDPOINTS, name, [revision])
}

/// Of a Service with backends.
pub(super) fn redirect(name: &str, listener: &str, addresses: &[&str]) -> Resource {
    redirect_with(name, listener, addresses, true)
}

/// Of an Ingress, say.
pub(super) fn redirect_without_backends(name: &str, listener: &str, addresses: &[&str]) -> Resource {
    redirect_with(name, listener, addresses, false)
}

fn redirect_with(name: &str, listener: &str, addresses: &[&str], has_backends: bool) -> Resource {
    let frontends = addresses.iter().map(|address| Frontend::new(address.parse().unwrap())).collect();
    let spec = Redirect { frontends, listener: listener.to_owned(), has_backends, ..Redirect::default() };
    resource(REDIRECT, name, spec.encode_to_vec())
}

pub(super) struct World {
    pub(super) core: Reconcile,
    pub(super) offer: BTreeMap<Key, Resource>,
    pub(super) kernel: BTreeMap<SocketAddr, Entry>,
    /// Who may connect from outside.
    pub(super) sources: BTreeMap<ServiceId, BTreeSet<SourceRange>>,
    pub(super) disk: BTreeMap<Key, Record>,
    pub(super) settled: BTreeMap<Ticket, Result<(), String>>,
    /// What the operator was told to be in force after all.
    pub(super) taken_back: BTreeMap<Key, Option<Arc<str>>>,
    /// Ports that other programs listen on.
    pub(super) foreign: BTreeSet<u16>,
    tickets: Ticket,
    /// What Envoy runs.
    running: BTreeMap<Key, Resource>,
    /// Listeners that had their routes once: a changed one warms beside the old one, which keeps the sockets.
    warm: BTreeSet<Key>,
    /// All that it ever took.
    taken: BTreeSet<(Key, Arc<str>)>,
    connected: bool,
    /// What was there when Envoy came: it asks for clusters first.
    first: BTreeSet<Key>,
    /// What Envoy has still to look at.
    inbox: BTreeSet<Key>,
    /// Envoy's last answer, on its way. The sockets that it opened are seen first.
    answer: Option<Event>,
    watched: BTreeSet<u16>,
    draining: BTreeSet<SocketAddr>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::build("10000-20000", OnProxyFailure::Bypass, BTreeMap::new(), Vec::new())
    }

    pub(super) fn with_ports(range: &str) -> Self {
        Self::build(range, OnProxyFailure::Bypass, BTreeMap::new(), Vec::new())
    }

    /// Services with backends are refused while Envoy is away, which it is at first.
    pub(super) fn refusing() -> Self {
        let mut world = Self::build("10000-20000", OnProxyFailure::Refuse, BTreeMap::new(), Vec::new());
        world.envoy_goes();
        world
    }

    /// Another process after this one, with a fresh Envoy.
    pub(super) fn restarted(kernel: BTreeMap<SocketAddr, Entry>, records: Vec<Record>) -> Self {
        Self::build("10000-20000", OnProxyFailure::Bypass, kernel, records)
    }

    fn build(
        range: &str,
        on_proxy_failure: OnProxyFailure,
        kernel: BTreeMap<SocketAddr, Entry>,
        records: Vec<Record>,
    ) -> Self {
        let settings = Settings {
            ports: range.parse().unwrap(),
            on_proxy_failure,
            ground: Ground { ipv6: true, groups: true },
            is_free: Box::new(|_| true),
        };
        let mut world = Self {
            core: Reconcile::new(settings, kernel.clone()),
            offer: BTreeMap::new(),
            kernel,
            sources: BTreeMap::new(),
            disk: records.iter().map(|record| (record.resource.key(), record.clone())).collect(),
            settled: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            foreign: BTreeSet::new(),
            tickets: 0,
            running: BTreeMap::new(),
            warm: BTreeSet::new(),
            taken: BTreeSet::new(),
            connected: false,
            first: BTreeSet::new(),
            inbox: BTreeSet::new(),
            answer: None,
            watched: BTreeSet::new(),
            draining: BTreeSet::new(),
        };
        let ops = world.core.restore(records, true);
        world.perform(ops);
        world.envoy_connects();
        world
    }

    pub(super) fn put(&mut self, resource: Resource) -> Ticket {
        self.tickets += 1;
        let (key, ticket) = (resource.key(), self.tickets);
        self.apply(Event::Intent { key, change: Change::Put(resource), ticket });
        ticket
    }

    pub(super) fn remove(&mut self, key: Key) -> Ticket {
        self.tickets += 1;
        let ticket = self.tickets;
        self.apply(Event::Intent { key, change: Change::Remove, ticket });
        ticket
    }

    pub(super) fn unsettled(&self) -> usize {
        usize::try_from(self.tickets).unwrap() - self.settled.len()
    }

    pub(super) fn offers(&self, key: &Key) -> bool {
        self.offer.contains_key(key)
    }

    pub(super) fn apply(&mut self, event: Event) {
        let ops = self.core.apply(event);
        self.perform(ops);
        self.check();
    }

    fn perform(&mut self, ops: Vec<Op>) {
        let mut results = Vec::new();
        for op in ops {
            match op {
                Op::Serve(resource) => {
                    self.check_clusters(&resource);
                    self.inbox.insert(resource.key());
                    self.offer.insert(resource.key(), resource);
                }
                Op::Unserve(key) => {
                    self.inbox.insert(key.clone());
                    self.offer.remove(&key);
                    self.first.remove(&key);
                }
                Op::WatchListen(port) => drop(self.watched.insert(port)),
                Op::SetFrontend(address, entry) => {
                    if entry.state == FrontendState::On {
                        let shut = entry.proxy_port == 0 && entry.on_proxy_failure != OnFailure::Bypass;
                        assert!(shut || self.open_ports().contains(&entry.proxy_port), "{address} leads nowhere");
                        self.draining.remove(&address);
                    }
                    if entry.sources == Sources::Listed {
                        assert!(self.sources.contains_key(&entry.service), "{address} refuses everybody");
                    }
                    self.kernel.insert(address, entry);
                    results.push(Event::FrontendSet { address, result: Ok(()) });
                }
                Op::SetSources(name, service, ranges) => {
                    self.sources.insert(service, ranges);
                    if self.sources[&service].is_empty() {
                        let asks = |entry: &Entry| entry.service == service && entry.state == FrontendState::On;
                        let mut asking = self.kernel.values().filter(|entry| asks(entry));
                        assert!(asking.all(|entry| entry.sources == Sources::All), "{name} refuses everybody");
                        self.sources.remove(&service);
                    }
                    results.push(Event::SourcesSet { name, result: Ok(()) });
                }
                Op::Drain(address) => drop(self.draining.insert(address)),
                Op::RemoveFrontend(address) => {
                    let entry = self.kernel.remove(&address).unwrap();
                    assert_eq!(entry.state, FrontendState::Draining, "{address} went without draining");
                }
                Op::Settle(ticket, result) => {
                    assert!(self.settled.insert(ticket, result).is_none(), "settled twice");
                }
                Op::Persist(record) => drop(self.disk.insert(record.resource.key(), record)),
                Op::Forget(key) => drop(self.disk.remove(&key)),
                Op::TakeBack(key, held) => drop(self.taken_back.insert(key, held)),
                Op::Tell(_) | Op::KeepClients(_) => {}
            }
        }
        for event in results {
            self.apply(event);
        }
    }

    /// Holds at every moment.
    fn check(&self) {
        for (key, resource) in &self.offer {
            for need in references(&key.0, &resource.body).unwrap() {
                assert!(&*need.0 != ROUTE || self.offers(&need), "{key:?} is offered without {need:?}");
            }
        }
    }

    /// What is new leads to no cluster that Envoy is about to take. An earlier version that comes back may.
    fn check_clusters(&self, new: &Resource) {
        let known = self.taken.contains(&(new.key(), new.version.clone()));
        if !self.connected || known || !matches!(&*new.type_url, LISTENER | ROUTE) {
            return;
        }
        let there = |key: &Key| self.running.contains_key(key) || self.first.contains(key);
        for cluster in self.offer.keys().filter(|key| &*key.0 == CLUSTER && !there(key)) {
            let found = mention(&new.body, &|text| text == &*cluster.1);
            assert!(found.is_none(), "{} leads to {}, which is not there", new.name, cluster.1);
        }
    }

    /// Envoy looks at one thing that is new to it, in the order of the protocol. False when there is nothing.
    pub(super) fn envoy_answers(&mut self) -> bool {
        if let Some(answer) = self.answer.take() {
            if self.look_at_ports() {
                self.answer = Some(answer);
            } else {
                self.apply(answer);
            }
            return true;
        }
        let rank = |key: &Key| [CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTE].iter().position(|one| **one == *key.0);
        let asked: BTreeSet<Key> =
            self.running.iter().flat_map(|(key, one)| references(&key.0, &one.body).unwrap()).collect();
        let heard = |key: &&Key| matches!(&*key.0, CLUSTER | LISTENER) || asked.contains(*key);
        let Some(key) = self.inbox.iter().filter(heard).min_by_key(|key| (rank(key), (*key).clone())).cloned() else {
            return self.look_at_ports();
        };
        self.inbox.remove(&key);
        let Some(offered) = self.offer.get(&key).cloned() else {
            self.running.remove(&key);
            self.warm.remove(&key);
            self.apply(Event::Accepted { key, version: None });
            return true;
        };
        let version = Some(offered.version.clone());
        let conflict = self.port_of(&offered).is_some_and(|port| self.foreign.contains(&port));
        if conflict {
            let message = "cannot bind '127.0.0.1:1': Address already in use".to_owned();
            self.apply(Event::Refused { key, version, message });
        } else if memmem::find(&offered.body, b"bad").is_some() {
            let message = "dump Proto constraint validation failed (model says no)".to_owned();
            self.apply(Event::Refused { key, version, message });
        } else {
            self.taken.insert((key.clone(), offered.version.clone()));
            self.running.insert(key.clone(), offered);
            self.warm_up();
            self.answer = Some(Event::Accepted { key, version });
        }
        true
    }

    fn look_at_ports(&mut self) -> bool {
        let open = self.open_ports();
        let Some(port) = self.watched.iter().copied().find(|port| open.contains(port)) else { return false };
        self.watched.remove(&port);
        self.apply(Event::Listening { port });
        true
    }

    pub(super) fn envoy_answers_all(&mut self) {
        while self.envoy_answers() {}
    }

    fn warm_up(&mut self) {
        let warm = |one: &&Resource| {
            let needs = references(&one.type_url, &one.body).unwrap();
            needs.iter().all(|need| &*need.0 != ROUTE || self.running.contains_key(need))
        };
        let listeners = self.running.values().filter(|one| &*one.type_url == LISTENER);
        let warm: Vec<Key> = listeners.filter(warm).map(Resource::key).collect();
        self.warm.extend(warm);
    }

    fn open_ports(&self) -> BTreeSet<u16> {
        self.warm.iter().filter_map(|key| self.port_of(&self.running[key])).collect()
    }

    fn port_of(&self, one: &Resource) -> Option<u16> {
        (&*one.type_url == LISTENER).then(|| crate::listener::port(&one.body)).flatten()
    }

    /// One frontend's connections end.
    pub(super) fn drain(&mut self) -> bool {
        let Some(address) = self.draining.pop_first() else { return false };
        self.apply(Event::Drained { address });
        true
    }

    /// One frontend's connections have had their time, and are still there.
    pub(super) fn expire(&mut self) {
        if let Some(address) = self.draining.first().copied() {
            self.apply(Event::Expired { address });
        }
    }

    pub(super) fn drain_all(&mut self) {
        while self.drain() {}
    }

    /// Envoy dies and comes back with nothing.
    pub(super) fn envoy_restarts(&mut self) {
        self.envoy_goes();
        self.running.clear();
        self.warm.clear();
        self.answer = None;
        self.inbox = self.offer.keys().cloned().collect();
        self.envoy_connects();
    }

    pub(super) fn envoy_goes(&mut self) {
        self.connected = false;
        self.apply(Event::EnvoyLost);
    }

    pub(super) fn envoy_connects(&mut self) {
        self.connected = true;
        self.first = self.offer.keys().cloned().collect();
        self.apply(Event::EnvoyConnected);
    }

    /// Lets everything come to rest.
    pub(super) fn rest(&mut self) {
        loop {
            self.envoy_answers_all();
            self.apply(Event::Quiet);
            if !self.drain() && !self.envoy_answers() {
                return;
            }
        }
    }
}
