//! Shared mode in the engine: from what Ingresses contribute to one Service, one listener, and the tables of their hosts.
//!
//! Everything here stands under one owner that is no object, so an edit of one Ingress replaces a few of its resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::Key;

use super::writes::{DummySlice, IngressService, Owner};
use super::{Changes, Engine, Target, Write, desired};
use crate::intents::{Delta, Rank};
use crate::model::options::{RequestedType, ServiceOptions};
use crate::model::{Host, IngressDefaults, field_of};
use crate::problem::{Problem, Reason};
use crate::shared::{Change, Contribution, Lost, Shared};
use crate::source::{Kind, LoadBalancerAddress, Name, ObjectKey};
use crate::translate::{
    ingress,
    shared::{self, Origin},
};

mod answers;
mod certificates;
mod chains;
mod clusters;
mod maker;
mod tables;

use maker::Maker;
use tables::{Shards, Whole};

/// What the engine keeps of shared mode.
#[derive(Debug, Default)]
pub(super) struct SharedMode {
    hosts: Shared,
    /// The Ingresses that have the address of the shared Service in their status, or should.
    members: BTreeSet<Name>,
    /// For nodes without the module.
    whole: Option<Whole>,
    /// For nodes with it.
    shards: Option<Shards>,
    /// Nodes that opened a stream, and whether their Envoys have the module.
    nodes: BTreeMap<Arc<str>, bool>,
    /// Those of them that have no stream now.
    away: BTreeSet<Arc<str>>,
    /// Whether tables wait for nodes that need them; otherwise they are there also for people who look.
    pub(super) for_nodes_only: bool,
    /// Tables that some node refuses.
    refused: BTreeSet<Key>,
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

    /// A node opens a stream, and says whether its Envoy has the module.
    pub(super) fn opens(&mut self, node: &str, has_module: bool) {
        self.comes(node);
        let before = self.nodes.insert(node.into(), has_module);
        if !has_module && before != Some(false) {
            tracing::warn!(
                node,
                "the node's Envoy has no module to find hosts with: it gets one table of all shared Ingresses, which every edit \
                 of one sends anew"
            );
        }
    }

    /// A node's last stream ended.
    pub(super) fn goes(&mut self, node: &str) {
        self.away.insert(node.into());
    }

    /// A node has a stream, or is about to.
    pub(super) fn comes(&mut self, node: &str) {
        self.away.remove(node);
    }

    /// What a node said on streams that ended counts no more. One that is back has said it again before it was told anything.
    pub(super) fn forget(&mut self, node: &str) {
        if self.away.remove(node) {
            self.nodes.remove(node);
        }
    }

    /// How many nodes get whole tables.
    pub(super) fn nodes_without_module(&self) -> usize {
        self.nodes.values().filter(|has| !**has).count()
    }

    /// Routes of an Ingress that older ones have.
    pub(super) fn lost(&self, ingress: &ObjectKey) -> Vec<Lost> {
        self.hosts.lost(ingress)
    }
}

/// The owner of what is for nodes with the module only: its listener has the same name.
fn sharded_rank(defaults: &IngressDefaults) -> Rank {
    let (age, owner) = rank(defaults);
    (age, ObjectKey::new(owner.kind, "", &format!("{}:shards", owner.name.name)))
}

/// The owner of everything else in shared mode: as old as can be, so nobody takes its place.
fn rank(defaults: &IngressDefaults) -> Rank {
    // Real Ingresses have a namespace.
    (i64::MIN, ObjectKey::new(Kind::Ingress, "", &defaults.shared_service.name))
}

/// Whether it is one of these, and no object that somebody wrote.
pub(super) fn is_everybodys(owner: &ObjectKey) -> bool {
    owner.kind == Kind::Ingress && owner.name.namespace.is_empty()
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
            let mut amended = self.shared_clusters(&change, endpoints);
            amended.extend(self.shared_secrets(&change.secrets));
            let tables = self.settle_tables(&change.hosts);
            let name = &self.defaults.shared_service;
            // Nothing is redirected to a listener with an address of its own.
            let is_redirected = !self.shared.hosts.is_empty() && self.defaults.host_network.is_none();
            let service = self.index.service(name).filter(|_| is_redirected);
            let is_proxied = self.defaults.proxy_protocol;
            amended.extend(shared::redirects(&Origin::of(&self.defaults), service, name, is_proxied));
            let others =
                self.intents.amend(&rank(&self.defaults), &Arc::new(ingress::audience(&self.defaults)), amended);
            for delta in [tables, others] {
                changes.intents.extend(delta.keys);
                rivals.extend(delta.rivals);
            }
            rivals.extend(self.shared_address());
        }
        rivals
    }

    /// Brings the tables up to date, each form for the nodes that need it.
    pub(super) fn settle_tables(&mut self, changed: &BTreeSet<Host>) -> Delta {
        let SharedMode { hosts, whole, shards, nodes, for_nodes_only, .. } = &mut self.shared;
        let origin = Origin::of(&self.defaults);
        let maker = Maker { origin, hosts, defaults: &self.defaults };
        let is_looked_at = nodes.is_empty() && !*for_nodes_only;
        let of_whole = tables::settle(whole, is_looked_at || nodes.values().any(|has| !has), &maker, changed);
        let of_shards = tables::settle(shards, nodes.values().any(|has| *has), &maker, changed);
        let audience = ingress::audience(&self.defaults);
        let mut told = Delta::default();
        for (has_module, amended) in [(false, of_whole), (true, of_shards)] {
            let rank = if has_module { sharded_rank(&self.defaults) } else { rank(&self.defaults) };
            let delta = self.intents.amend(&rank, &Arc::new(audience.clone().by_module(has_module)), amended);
            told.keys.extend(delta.keys);
            told.rivals.extend(delta.rivals);
        }
        told
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
        let Lost { host, matcher, winner, is_whole } = lost;
        let ingress = self.index.ingress(&owner.name);
        let field = ingress.map(|it| field_of(it, host, matcher, &self.index.defaults(it, &self.defaults)));
        let host = host.pattern();
        let why = if *is_whole {
            format!(
                "{winner} is older and has host {host} in shared mode, where a host is either served or passed through to one \
                 backend; this has no effect as long as it has"
            )
        } else {
            let what = matcher.describe();
            format!(
                "{winner} is older and has {what} of host {host} in shared mode; requests go there as long as it has"
            )
        };
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
            let options = match self.defaults.host_network {
                None => ServiceOptions {
                    type_: RequestedType::LoadBalancer,
                    class,
                    local_traffic_only: self.defaults.shared_local_traffic_only,
                    ..ServiceOptions::default()
                },
                Some(_) => ServiceOptions { type_: RequestedType::ClusterIp, ..ServiceOptions::default() },
            };
            let wanted = IngressService { name: name.clone(), owner: owner(), options };
            (!service.is_some_and(|service| wanted.is_met_by(service))).then_some(Write::Service(wanted))
        });
        let slice = wanted.then(|| {
            if self.defaults.host_network.is_some() {
                return desired::delete_slice(name, &self.index);
            }
            let nodes = desired::nodes(self.defaults.shared_local_traffic_only, &self.index)?;
            let wanted = DummySlice { name: name.clone(), owner: owner(), nodes };
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
