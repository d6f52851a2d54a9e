//! The tables of shared mode and the listener in front of them, in two forms: one table, and shards of it.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_xds::Key;
use bytes::Bytes;

use super::chains::{Amendment, Chains};
use super::maker::{Maker, told};
use crate::intents::Intent;
use crate::model::Host;
use crate::translate::shared::{self, Form, Routing};

/// What nodes are told anew: `None` for what is gone.
pub(super) type Amended = BTreeMap<Key, Option<Intent>>;

/// Tables in one form.
pub(super) trait Tables: Default {
    /// Takes in hosts that changed.
    fn update(&mut self, maker: &Maker<'_>, changed: &BTreeSet<Host>) -> Amended;

    /// Nobody needs this form any more. Costs the tables that are there.
    fn withdraw(self, maker: &Maker<'_>) -> Amended;
}

/// Keeps a form up to date while it is wanted. Its first time costs all hosts.
pub(super) fn settle<T: Tables>(
    tables: &mut Option<T>,
    is_wanted: bool,
    maker: &Maker<'_>,
    changed: &BTreeSet<Host>,
) -> Amended {
    match tables {
        Some(_) if !is_wanted => tables.take().map(|tables| tables.withdraw(maker)).unwrap_or_default(),
        Some(_) if changed.is_empty() => Amended::new(),
        Some(tables) => tables.update(maker, changed),
        None if is_wanted => tables.insert(T::default()).update(maker, &maker.hosts.all().cloned().collect()),
        None => Amended::new(),
    }
}

/// All hosts in one table, for an Envoy that cannot find a host among shards. An edit costs the bytes of all hosts.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pieces: BTreeMap<Host, Bytes>,
    chains: Chains,
}

impl Tables for Whole {
    fn update(&mut self, maker: &Maker<'_>, changed: &BTreeSet<Host>) -> Amended {
        let anywhere = maker.hosts.host(&Host::Any);
        let mut changed = changed.clone();
        if changed.contains(&Host::Any) {
            // To Envoy their patterns match more than they mean, and that is the others' then.
            changed.extend(self.pieces.keys().filter(|host| matches!(host, Host::Wildcard(_))).cloned());
        }
        for host in &changed {
            note_piece(&mut self.pieces, maker, host, Form::Pattern { anywhere: anywhere.as_ref() });
        }
        let mut amended = Amended::new();
        let is_served = !maker.hosts.is_empty();
        match self.chains.update(maker, Routing::Table, &changed) {
            Amendment::Nothing => {}
            Amendment::Told(listener) => drop(amended.insert(maker.origin.listener_key(), Some(listener))),
            Amendment::Withdrawn => drop(amended.insert(maker.origin.listener_key(), None)),
        }
        let name = maker.origin.table();
        let table = || Some(shared::routes(&name, &told(shared::pattern_head(), "table", "")?, self.pieces.values()));
        amended.insert(maker.origin.table_key(), is_served.then(table).flatten());
        amended
    }

    fn withdraw(self, maker: &Maker<'_>) -> Amended {
        [(maker.origin.listener_key(), None), (maker.origin.table_key(), None)].into()
    }
}

/// Hosts in a fixed number of tables, by the hashes of their keys. An edit costs the bytes of the few hosts of one shard.
#[derive(Debug, Default)]
pub(super) struct Shards {
    shards: BTreeMap<u32, BTreeMap<Host, Bytes>>,
    chains: Chains,
}

impl Tables for Shards {
    fn update(&mut self, maker: &Maker<'_>, changed: &BTreeSet<Host>) -> Amended {
        let mut touched = BTreeSet::new();
        for host in changed {
            let shard = shared::shard(host);
            let hosts = self.shards.entry(shard).or_default();
            note_piece(hosts, maker, host, Form::Key);
            if hosts.is_empty() {
                self.shards.remove(&shard);
            }
            touched.insert(shard);
        }
        let mut amended = Amended::new();
        match self.chains.update(maker, Routing::Shards, changed) {
            Amendment::Nothing => {}
            Amendment::Told(listener) => drop(amended.insert(maker.origin.listener_key(), Some(listener))),
            Amendment::Withdrawn => return gone(maker, touched),
        }
        let Some(head) = told(shared::shard_head(), "shard", "") else { return amended };
        // Only those with hosts are there: where there is no scope there is no route either, which is all that the module asks.
        for shard in touched {
            let Some(hosts) = self.shards.get(&shard) else {
                amended.extend(maker.origin.shard_keys(shard).map(|key| (key, None)));
                continue;
            };
            let table = shared::routes(&maker.origin.shard(shard), &head, hosts.values());
            let both = [table, shared::scope(&maker.origin, shard)];
            amended.extend(both.map(|intent| (intent.resource.key(), Some(intent))));
        }
        amended
    }

    fn withdraw(self, maker: &Maker<'_>) -> Amended {
        gone(maker, self.shards.into_keys())
    }
}

/// The listener goes, and with it these shards.
fn gone(maker: &Maker<'_>, shards: impl IntoIterator<Item = u32>) -> Amended {
    let keys = shards.into_iter().flat_map(|shard| maker.origin.shard_keys(shard));
    keys.chain([maker.origin.listener_key()]).map(|key| (key, None)).collect()
}

/// Puts the piece of a host, or takes it out. One that cannot be made leaves the last one.
fn note_piece(pieces: &mut BTreeMap<Host, Bytes>, maker: &Maker<'_>, host: &Host, form: Form<'_>) {
    let Some(served) = maker.hosts.host(host) else {
        pieces.remove(host);
        return;
    };
    if let Some(piece) = told(shared::piece(&maker.origin, host, &served, form), "host", &host.pattern()) {
        pieces.insert(host.clone(), piece);
    }
}
