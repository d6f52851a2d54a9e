//! Shared mode in the engine: from what Ingresses contribute to one Service, one listener, and the tables of their hosts.
//!
//! Everything here stands under one owner that is no object, so an edit of one Ingress replaces a few of its resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::Key;
use bytes::Bytes;

use super::writes::{DummySlice, IngressService, Owner};
use super::{Changes, Engine, Target, Write};
use crate::intents::{Audience, Intent, Rank};
use crate::model::options::{RequestedType, ServiceOptions};
use crate::model::{Backend, Host, IngressDefaults, field_of};
use crate::problem::{Problem, Reason};
use crate::shared::{Change, Contribution, Lost, Shared};
use crate::source::{Kind, LoadBalancerAddress, Name, ObjectKey};
use crate::translate::shared::{self, Form, Origin};

/// What the engine keeps of shared mode.
#[derive(Debug, Default)]
pub(super) struct SharedMode {
    hosts: Shared,
    /// The Ingresses that have the address of the shared Service in their status, or should.
    members: BTreeSet<Name>,
    /// Hosts as pieces of the table.
    pieces: BTreeMap<Host, Bytes>,
    /// Nodes have the listener.
    is_listening: bool,
    /// What changed since nodes were told.
    change: Change,
    /// The addresses that members were told last.
    addresses: Vec<LoadBalancerAddress>,
}

/// What one Ingress has to do with shared mode.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// When it was made.
    pub(super) created: i64,
    /// What it serves there.
    pub(super) hosts: BTreeMap<Host, Contribution>,
    /// Whether it is in shared mode, and not on its way to an address of its own.
    pub(super) is_member: bool,
}

impl SharedMode {
    /// Takes in what an Ingress has to do with shared mode. Costs its hosts.
    pub(super) fn set(&mut self, ingress: &ObjectKey, membership: Membership) {
        if membership.is_member {
            self.members.insert(ingress.name.clone());
        } else {
            self.members.remove(&ingress.name);
        }
        self.change.extend(self.hosts.set(&(membership.created, ingress.clone()), membership.hosts));
    }

    /// Routes of an Ingress that older ones have.
    pub(super) fn lost(&self, ingress: &ObjectKey) -> Vec<Lost> {
        self.hosts.lost(ingress)
    }
}

/// The owner of everything in shared mode: as old as can be, so nobody takes its place.
fn rank(defaults: &IngressDefaults) -> Rank {
    // Real Ingresses have a namespace.
    (i64::MIN, ObjectKey::new(Kind::Ingress, "", &defaults.shared_service.name))
}

impl Engine {
    /// Tells nodes what changed in shared mode. `is_touched` says that the shared Service did. Notes Services whose
    /// endpoints are wanted now or no more. Gives the Ingresses whose problems or status may be others.
    pub(super) fn settle_shared(
        &mut self,
        is_touched: bool,
        endpoints: &mut BTreeSet<Name>,
        changes: &mut Changes,
    ) -> BTreeSet<ObjectKey> {
        let change = std::mem::take(&mut self.shared.change);
        let mut rivals = change.rivals.clone();
        if is_touched || change != Change::default() {
            let mut amended = self.shared_clusters(&change.backends, endpoints);
            if !change.hosts.is_empty() {
                self.shared_routes(&change.hosts, &mut amended);
            }
            let name = &self.defaults.shared_service;
            let service = self.index.service(name).filter(|_| !self.shared.hosts.is_empty());
            amended.extend(shared::redirects(&Origin::of(name), service, name));
            let delta = self.intents.amend(&rank(&self.defaults), &Arc::new(Audience::All), amended);
            changes.intents.extend(delta.keys);
            rivals.extend(delta.rivals);
            rivals.extend(self.shared_address());
        }
        rivals
    }

    fn shared_clusters(
        &mut self,
        backends: &BTreeSet<Backend>,
        endpoints: &mut BTreeSet<Name>,
    ) -> BTreeMap<Key, Option<Intent>> {
        let origin = Origin::of(&self.defaults.shared_service);
        let owner = rank(&self.defaults).1;
        let mut amended = BTreeMap::new();
        let (named, gone): (Vec<_>, Vec<_>) = backends.iter().partition(|it| self.shared.hosts.names(it));
        // What is gone comes first: a port that speaks something else now has clusters of the same names.
        for backend in gone {
            amended.extend(origin.clusters(backend).map(|key| (key, None)));
            self.demand.forgo(&owner, &shared::endpoints(backend));
            endpoints.insert(backend.service.clone());
        }
        for backend in named {
            let clusters = told(shared::clusters(&origin, backend), "cluster", &backend.service.to_string());
            amended.extend(clusters.unwrap_or_default().into_iter().map(|it| (it.resource.key(), Some(it))));
            self.demand.want(&owner, shared::endpoints(backend));
            endpoints.insert(backend.service.clone());
        }
        amended
    }

    /// The table of all hosts, and the listener that has it. Costs the bytes of all hosts, once encoded.
    fn shared_routes(&mut self, changed: &BTreeSet<Host>, amended: &mut BTreeMap<Key, Option<Intent>>) {
        let origin = Origin::of(&self.defaults.shared_service);
        let anywhere = self.shared.hosts.host(&Host::Any);
        let SharedMode { hosts, pieces, is_listening, .. } = &mut self.shared;
        let mut changed = changed.clone();
        if changed.contains(&Host::Any) {
            // To Envoy their patterns match more than they mean, and that is the others' then.
            changed.extend(pieces.keys().filter(|host| matches!(host, Host::Wildcard(_))).cloned());
        }
        for host in &changed {
            let Some(served) = hosts.host(host) else {
                pieces.remove(host);
                continue;
            };
            let form = Form::Pattern { anywhere: anywhere.as_ref() };
            if let Some(piece) = told(shared::piece(&origin, host, &served, form), "host", &host.pattern()) {
                pieces.insert(host.clone(), piece);
            }
        }
        let is_served = !hosts.is_empty();
        if std::mem::replace(is_listening, is_served) != is_served {
            let listener = || told(shared::whole_listener(&origin, &self.defaults), "listener", "");
            amended.insert(origin.listener_key(), is_served.then(listener).flatten());
        }
        let table = || {
            let head = told(shared::pattern_head(), "table", "")?;
            Some(shared::routes(origin.table(), shared::table(&origin.table(), &head, pieces.values())))
        };
        amended.insert(origin.table_key(), is_served.then(table).flatten());
    }

    /// The Ingresses that show another address than the shared Service has now.
    fn shared_address(&mut self) -> Vec<ObjectKey> {
        let service = self.index.service(&self.defaults.shared_service).filter(|service| service.is_ingress);
        let now = service.map(|service| service.load_balancer.clone()).unwrap_or_default();
        if std::mem::replace(&mut self.shared.addresses, now.clone()) == now {
            return Vec::new();
        }
        self.shared.members.iter().map(|name| ObjectKey { kind: Kind::Ingress, name: name.clone() }).collect()
    }

    /// An older Ingress has what this one wants.
    pub(super) fn route_lost(&self, owner: &ObjectKey, lost: &Lost) -> Problem {
        let Lost { host, matcher, winner } = lost;
        let ingress = self.index.ingress(&owner.name);
        let field = ingress.map(|it| field_of(it, host, matcher, &self.index.defaults(it, &self.defaults)));
        let why = format!(
            "{winner} is older and has {} of host {} in shared mode; requests go there as long as it has",
            matcher.describe(),
            host.pattern()
        );
        Problem::error(Reason::RouteConflict, field.unwrap_or_default(), why)
    }

    /// What has to be written of the Service of shared mode and its slice, if anything. It is made with the first Ingress, healed
    /// after edits, and stays when the last one goes: its address is in people's DNS.
    pub(super) fn shared_writes(&self) -> [(Target, Option<Write>); 2] {
        let name = &self.defaults.shared_service;
        let (service, slice) = (self.index.service(name), self.index.slice(name));
        let wanted = !self.shared.members.is_empty() || service.is_some_and(|service| service.is_ingress);
        let owner = || Owner { name: String::new(), uid: None };
        let service = wanted.then(|| {
            // A class cannot change, and may have come from elsewhere.
            let class = service.and_then(|service| service.written.class.clone());
            let options = ServiceOptions { type_: RequestedType::LoadBalancer, class, ..ServiceOptions::default() };
            let wanted = IngressService { name: name.clone(), owner: owner(), options };
            (!service.is_some_and(|service| wanted.is_met_by(service))).then_some(Write::Service(wanted))
        });
        let slice = wanted.then(|| {
            let wanted = DummySlice { name: name.clone(), owner: owner() };
            (!slice.is_some_and(|slice| wanted.is_met_by(slice))).then_some(Write::EndpointSlice(wanted))
        });
        [(Target::Service(name.clone()), service.flatten()), (Target::EndpointSlice(name.clone()), slice.flatten())]
    }

    pub(super) fn settle_shared_writes(&mut self, changes: &mut Changes) {
        if !self.can_write() {
            return;
        }
        for (target, write) in self.shared_writes() {
            match write {
                Some(write) if self.pending.note(&write) => changes.writes.push(write),
                Some(_) => {}
                None => self.pending.forget(&target),
            }
        }
    }
}

/// Without what Envoy would refuse, which should not be: the last good version stays, and the log says so.
fn told<T>(made: Result<T, Vec<Problem>>, what: &str, name: &str) -> Option<T> {
    made.inspect_err(|problems| {
        tracing::error!(what, name, ?problems, reason = Reason::Invalid.as_str(), "shared mode: left as it was");
    })
    .ok()
}
