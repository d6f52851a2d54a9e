//! The nftables table: marked packets skip connection tracking, and refused ones are answered with a RST.
//!
//! Connection tracking would let kube-proxy rewrite what we took, and its entries for replies would mislead the proxy about
//! the original destination. As text:
//!
//! ```text
//! table inet axoneme {
//!   chain prerouting {
//!     type filter hook prerouting priority raw; policy accept;
//!     meta mark & 0xf00 == 0x200 counter notrack
//!     meta mark & 0xf00 == 0x600 counter notrack
//!     meta l4proto tcp meta mark & 0xf00 == 0x300 counter reject with tcp reset
//!   }
//!   chain output {
//!     type filter hook output priority raw; policy accept;
//!     meta mark & 0xf00 == 0xa00 counter notrack
//!     meta mark & 0xf00 == 0xb00 counter notrack
//!     meta mark & 0xf00 == 0x600 counter notrack
//!   }
//!   chain fragments {
//!     meta l4proto tcp tproxy to :1
//!   }
//!   chain postrouting {
//!     type nat hook postrouting priority srcnat; policy accept;
//!     meta mark & 0xf00 == 0xd00 counter ct mark set (ct mark & 0xfffff0ff) ^ 0xd00 masquerade
//!   }
//!   chain returning {
//!     type filter hook prerouting priority mangle; policy accept;
//!     ct direction reply ct mark & 0xf00 == 0xd00 meta mark set (mark & 0xfffff0ff) ^ 0x200
//!   }
//!   chain answering {
//!     type route hook output priority mangle; policy accept;
//!     ct direction reply ct mark & 0xf00 == 0xd00 meta mark set (mark & 0xfffff0ff) ^ 0x600
//!   }
//! }
//! ```
//!
//! No packet comes to the chain `fragments`. But a table with `tproxy` makes the kernel put fragments together before it routes, with the mark of the
//! first; the others have no ports and would go elsewhere. Where there is kube-proxy, connection tracking does so in any case.
//!
//! The last three of these chains are there only where upstream connections speak from their client's address: the kernel tracks all
//! connections of a node that has a chain of the type `nat`. What was masqueraded comes back to the client's address, which is not the
//! node's, so it needs a mark to be routed to the node; what a process of the node answers, too.
//!
//! Beside IPVS there are those of [`past_ipvs`].

use nix::errno::Errno;
use parking_lot::Mutex;

use super::config::{Config, Marks};
use crate::datapath::DatapathError;

mod batch;
mod deletions;
mod past_ipvs;
mod rule;

pub(crate) use deletions::Deletions;

use batch::Batch;
use rule::Rule;

/// Numbers of `linux/netfilter/nfnetlink.h`, `nf_tables.h` and `linux/netfilter.h`.
mod nft {
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    pub(super) const BATCH_END: u16 = 0x11;
    pub(super) const SUBSYSTEM: u16 = 10;
    pub(super) const FAMILY_INET: u8 = 1;
    pub(super) const NEW_TABLE: u16 = 0;
    pub(super) const DELETE_TABLE: u16 = 2;
    pub(super) const NEW_CHAIN: u16 = 3;
    pub(super) const DELETE_CHAIN: u16 = 5;
    pub(super) const NEW_RULE: u16 = 6;
    pub(super) const GET_RULE: u16 = 7;
    pub(super) const DELETE_RULE: u16 = 8;
    pub(super) const HOOK_PREROUTING: u32 = 0;
    pub(super) const HOOK_INPUT: u32 = 1;
    pub(super) const HOOK_OUTPUT: u32 = 3;
    pub(super) const HOOK_POSTROUTING: u32 = 4;
    pub(super) const PRIORITY_RAW: i32 = -300;
    pub(super) const PRIORITY_SOURCE_NAT: i32 = 100;
    pub(super) const PRIORITY_MANGLE: i32 = -150;
    pub(super) const ACCEPT: u32 = 1;
}

/// The table, and what it has to do on this node.
pub(crate) struct Table {
    config: Config,
    state: Mutex<State>,
}

struct State {
    needs: Needs,
    /// How many rules it has; 0 before it is there.
    rules: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Needs {
    /// Upstream connections speak from their client's address.
    keeping: bool,
    /// IPVS is there.
    ipvs: bool,
}

impl Table {
    /// Nothing is put in place yet.
    pub(crate) fn new(config: Config, keeping: bool) -> Self {
        let state = State { needs: Needs { keeping, ipvs: false }, rules: 0 };
        Self { config, state: Mutex::new(state) }
    }

    /// Whether upstream connections speak from their client's address from now on.
    pub(crate) fn keep_clients(&self, on: bool) -> Result<(), DatapathError> {
        self.change(|needs| needs.keeping = on)
    }

    /// Whether IPVS is there from now on.
    pub(crate) fn pass_ipvs(&self, on: bool) -> Result<(), DatapathError> {
        self.change(|needs| needs.ipvs = on)
    }

    /// Puts the table in place, or makes it anew.
    pub(crate) fn install(&self) -> Result<(), DatapathError> {
        let mut state = self.state.lock();
        state.rules = install(&self.config, state.needs)?;
        Ok(())
    }

    /// Whether nobody took anything away. Cost: the table's rules.
    pub(crate) fn is_whole(&self) -> Result<bool, DatapathError> {
        let table = &self.config.nft_table;
        let state = self.state.lock();
        let found = batch::count_rules(table).map_err(|errno| {
            DatapathError::netlink(format!("list the rules of the nftables table inet {table}"), errno)
        })?;
        Ok(found == state.rules)
    }

    fn change(&self, change: impl FnOnce(&mut Needs)) -> Result<(), DatapathError> {
        let mut state = self.state.lock();
        let mut needs = state.needs;
        change(&mut needs);
        if needs != state.needs || state.rules == 0 {
            *state = State { needs, rules: install(&self.config, needs)? };
        }
        Ok(())
    }
}

/// In one transaction: no packet sees half of it. The answer is how many rules there are.
fn install(config: &Config, needs: Needs) -> Result<usize, DatapathError> {
    let table = &config.nft_table;
    let failed = |errno| DatapathError::netlink(format!("make the nftables table inet {table}"), errno);
    match describe(config, needs, true).commit() {
        Ok(rules) => Ok(rules),
        // A kernel without `nft_tproxy`, or what both would fail of.
        Err(errno) => {
            let rules = describe(config, needs, false).commit().map_err(failed)?;
            tracing::warn!(%errno, "no nft_tproxy: where nothing tracks connections, fragments of IPv4 are lost");
            Ok(rules)
        }
    }
}

/// The table, with or without what puts fragments together.
fn describe(config: &Config, needs: Needs, whole: bool) -> Batch {
    let table = &config.nft_table;
    let mut batch = Batch::begin();
    batch.replace_table(table);
    batch.chain(table, "prerouting", "filter", nft::HOOK_PREROUTING, nft::PRIORITY_RAW);
    batch.chain(table, "output", "filter", nft::HOOK_OUTPUT, nft::PRIORITY_RAW);
    let Marks { mask, taken, host, listener, original_source, upstream: _, node_source, refuse } = config.marks;
    for mark in [taken, host] {
        batch.rule(table, "prerouting", Rule::default().marked(mask, mark).counter().notrack());
    }
    batch.rule(table, "prerouting", Rule::default().tcp_only().marked(mask, refuse).counter().reset());
    if whole {
        batch.plain_chain(table, "fragments");
        batch.rule(table, "fragments", Rule::default().tcp_only().transparent());
    }
    for mark in [listener, original_source, host] {
        batch.rule(table, "output", Rule::default().marked(mask, mark).counter().notrack());
    }
    if needs.keeping {
        batch.chain(table, "postrouting", "nat", nft::HOOK_POSTROUTING, nft::PRIORITY_SOURCE_NAT);
        let masquerade = Rule::default().marked(mask, node_source).counter().mark_connection(mask, node_source);
        batch.rule(table, "postrouting", masquerade.masquerade());
        let reply = || Rule::default().of_reply_marked(mask, node_source);
        batch.chain(table, "returning", "filter", nft::HOOK_PREROUTING, nft::PRIORITY_MANGLE);
        batch.rule(table, "returning", reply().mark(mask, taken));
        batch.chain(table, "answering", "route", nft::HOOK_OUTPUT, nft::PRIORITY_MANGLE);
        batch.rule(table, "answering", reply().mark(mask, host));
    }
    if needs.ipvs {
        past_ipvs::describe(&mut batch, table, &config.marks);
    }
    batch
}

/// Takes the table away; one that is not there is no error.
pub(crate) fn remove(table: &str) -> Result<(), DatapathError> {
    let mut batch = Batch::begin();
    batch.delete_table(table);
    match batch.commit() {
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(DatapathError::netlink(format!("delete the nftables table inet {table}"), errno)),
    }
}
