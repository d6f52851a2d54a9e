//! What nodes say of the tables of shared mode. Of one that is refused, all Ingresses with a host in it are told, as Envoy does
//! not say whose it is; their hosts go on with the last table that was taken.

use std::collections::BTreeSet;

use axoneme_xds::{Key, Outcome};

use super::{rank, sharded_rank};
use crate::engine::Engine;
use crate::intents::Rejection;
use crate::model::Host;
use crate::source::{Kind, ObjectKey};
use crate::translate::shared::{self, Origin};

/// What an Ingress has a part in.
#[derive(Debug)]
pub(in crate::engine) struct Parts {
    /// The owner of what nodes are told of all shared Ingresses.
    pub(in crate::engine) owner: ObjectKey,
    /// The tables that the Ingress's hosts are in, in both forms, each with its owner.
    pub(in crate::engine) tables: BTreeSet<(ObjectKey, Key)>,
}

impl Engine {
    /// What an Ingress has a part in; `None` when it is not in shared mode. Costs its hosts.
    pub(in crate::engine) fn shared_parts(&self, ingress: &ObjectKey) -> Option<Parts> {
        let is_member = ingress.kind == Kind::Ingress && self.shared.members.contains(&ingress.name);
        let origin = Origin::of(&self.defaults);
        let (owner, sharded) = (rank(&self.defaults).1, sharded_rank(&self.defaults).1);
        let of_host = |host| {
            let [shard, whole] = tables(&origin, host);
            [(sharded.clone(), shard), (owner.clone(), whole)]
        };
        let tables = self.shared.hosts.of(ingress).flat_map(of_host).collect();
        is_member.then(|| Parts { owner: owner.clone(), tables })
    }

    /// Whom an answer of a node concerns: while some node refuses a table, or until a moment ago, those with hosts in it.
    pub(in crate::engine) fn concerned(&mut self, outcome: &Outcome) -> BTreeSet<ObjectKey> {
        let (Outcome::Acked { type_url, name, .. } | Outcome::Nacked { type_url, name, .. }) = outcome;
        let key = (type_url.clone(), name.clone());
        let is_refusal = matches!(outcome, Outcome::Nacked { .. });
        if !is_refusal && !self.shared.refused.contains(&key) {
            return BTreeSet::new();
        }
        if self.rejections(&key).is_empty() {
            self.shared.refused.remove(&key);
        } else {
            self.shared.refused.insert(key.clone());
        }
        let origin = Origin::of(&self.defaults);
        let hosts = self.shared.hosts.all().filter(|host| tables(&origin, host).contains(&key));
        hosts.flat_map(|host| self.shared.hosts.owners(host)).cloned().collect()
    }

    /// What nodes refuse of the tables that an Ingress has hosts in. Costs its hosts while some table is refused.
    pub(in crate::engine) fn shared_refusals(&self, ingress: &ObjectKey) -> Vec<Rejection> {
        if self.shared.refused.is_empty() {
            return Vec::new();
        }
        let origin = Origin::of(&self.defaults);
        let keys: BTreeSet<_> = self.shared.hosts.of(ingress).flat_map(|host| tables(&origin, host)).collect();
        keys.iter().filter(|key| self.shared.refused.contains(*key)).flat_map(|key| self.rejections(key)).collect()
    }

    fn rejections(&self, key: &Key) -> Vec<Rejection> {
        let owners = [rank(&self.defaults).1, sharded_rank(&self.defaults).1];
        owners.iter().flat_map(|owner| self.intents.rejections(owner, key)).collect()
    }
}

/// The tables that a host is in.
fn tables(origin: &Origin, host: &Host) -> [Key; 2] {
    let [table, _] = origin.shard_keys(shared::shard(host));
    [table, origin.table_key()]
}
