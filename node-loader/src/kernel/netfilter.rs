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
//! The last three chains are there only where upstream connections speak from their client's address: the kernel tracks all
//! connections of a node that has a chain of the type `nat`. What was masqueraded comes back to the client's address, which is not the
//! node's, so it needs a mark to be routed to the node; what a process of the node answers, too.

use nix::{errno::Errno, sys::socket::SockProtocol};

use super::{
    config::{Config, Marks},
    netlink::{ACK, APPEND, Attributes, CREATE, Messages, Socket},
};
use crate::datapath::DatapathError;

/// Numbers of `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
mod nft {
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    pub(super) const BATCH_END: u16 = 0x11;
    pub(super) const SUBSYSTEM: u16 = 10;
    pub(super) const FAMILY_INET: u8 = 1;
    pub(super) const NEW_TABLE: u16 = 0;
    pub(super) const DELETE_TABLE: u16 = 2;
    pub(super) const NEW_CHAIN: u16 = 3;
    pub(super) const NEW_RULE: u16 = 6;
    pub(super) const HOOK_PREROUTING: u32 = 0;
    pub(super) const HOOK_OUTPUT: u32 = 3;
    pub(super) const HOOK_POSTROUTING: u32 = 4;
    pub(super) const PRIORITY_RAW: i32 = -300;
    pub(super) const PRIORITY_SOURCE_NAT: i32 = 100;
    pub(super) const PRIORITY_MANGLE: i32 = -150;
    pub(super) const ACCEPT: u32 = 1;
    pub(super) const REGISTER: u32 = 1;
    pub(super) const META_MARK: u32 = 3;
    pub(super) const META_L4PROTO: u32 = 16;
    pub(super) const CT_DIRECTION: u32 = 1;
    pub(super) const CT_MARK: u32 = 3;
    /// `IP_CT_DIR_REPLY`.
    pub(super) const REPLY: u8 = 1;
    pub(super) const EQUAL: u32 = 0;
    pub(super) const REJECT_TCP_RESET: u32 = 1;
    /// `NFPROTO_UNSPEC`.
    pub(super) const EITHER_FAMILY: u32 = 0;
}

/// Puts the table in place, or makes it anew, in one transaction: no packet sees half of it. `keeping` is whether upstream
/// connections speak from their client's address.
pub(crate) fn install(config: &Config, keeping: bool) -> Result<(), DatapathError> {
    let table = &config.nft_table;
    let failed = |errno| DatapathError::netlink(format!("make the nftables table inet {table}"), errno);
    match describe(config, keeping, true).commit() {
        Ok(()) => Ok(()),
        // A kernel without `nft_tproxy`, or what both would fail of.
        Err(errno) => {
            describe(config, keeping, false).commit().map_err(failed)?;
            tracing::warn!(%errno, "no nft_tproxy: where nothing tracks connections, fragments of IPv4 are lost");
            Ok(())
        }
    }
}

/// The table, with or without what puts fragments together.
fn describe(config: &Config, keeping: bool, whole: bool) -> Batch {
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
    if keeping {
        batch.chain(table, "postrouting", "nat", nft::HOOK_POSTROUTING, nft::PRIORITY_SOURCE_NAT);
        let masquerade = Rule::default().marked(mask, node_source).counter().mark_connection(mask, node_source);
        batch.rule(table, "postrouting", masquerade.masquerade());
        let reply = || Rule::default().of_reply_marked(mask, node_source);
        batch.chain(table, "returning", "filter", nft::HOOK_PREROUTING, nft::PRIORITY_MANGLE);
        batch.rule(table, "returning", reply().mark(mask, taken));
        batch.chain(table, "answering", "route", nft::HOOK_OUTPUT, nft::PRIORITY_MANGLE);
        batch.rule(table, "answering", reply().mark(mask, host));
    }
    batch
}

/// Takes the table away; one that is not there is no error.
pub(crate) fn remove(table: &str) -> Result<(), DatapathError> {
    let mut batch = Batch::begin();
    batch.table(nft::DELETE_TABLE, 0, table);
    match batch.commit() {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(DatapathError::netlink(format!("delete the nftables table inet {table}"), errno)),
    }
}

struct Batch {
    messages: Messages,
    acknowledged: usize,
}

impl Batch {
    fn begin() -> Self {
        let mut messages = Messages::default();
        messages.push(nft::BATCH_BEGIN, 0, &header(0, nft::SUBSYSTEM), &Attributes::default());
        Self { messages, acknowledged: 0 }
    }

    fn push(&mut self, kind: u16, flags: u16, attributes: &Attributes) {
        let kind = (nft::SUBSYSTEM << 8) | kind;
        self.messages.push(kind, flags | ACK, &header(nft::FAMILY_INET, 0), attributes);
        self.acknowledged += 1;
    }

    fn table(&mut self, kind: u16, flags: u16, table: &str) {
        self.push(kind, flags, &Attributes::default().text(1, table));
    }

    /// Made first, so that there is something to delete.
    fn replace_table(&mut self, table: &str) {
        self.table(nft::NEW_TABLE, CREATE, table);
        self.table(nft::DELETE_TABLE, 0, table);
        self.table(nft::NEW_TABLE, CREATE, table);
    }

    fn chain(&mut self, table: &str, name: &str, kind: &str, hook: u32, priority: i32) {
        let hook = Attributes::default().number(1, hook).number(2, priority.cast_unsigned());
        let chain = Attributes::default().text(1, table).text(3, name).nest(4, hook).number(5, nft::ACCEPT);
        self.push(nft::NEW_CHAIN, CREATE, &chain.text(7, kind));
    }

    /// Which packets come to only by rules of other chains.
    fn plain_chain(&mut self, table: &str, name: &str) {
        self.push(nft::NEW_CHAIN, CREATE, &Attributes::default().text(1, table).text(3, name));
    }

    fn rule(&mut self, table: &str, chain: &str, rule: Rule) {
        let rule = Attributes::default().text(1, table).text(2, chain).nest(4, rule.0);
        self.push(nft::NEW_RULE, CREATE | APPEND, &rule);
    }

    fn commit(mut self) -> Result<(), Errno> {
        self.messages.push(nft::BATCH_END, 0, &header(0, nft::SUBSYSTEM), &Attributes::default());
        let socket = Socket::open(SockProtocol::NetlinkNetFilter)?;
        socket.send(&self.messages)?;
        socket.acknowledgements(self.acknowledged)
    }
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// The expressions of a rule, in the order in which the kernel runs them.
#[derive(Default)]
struct Rule(Attributes);

impl Rule {
    fn expression(self, name: &str, data: Attributes) -> Self {
        Self(self.0.nest(1, Attributes::default().text(1, name).nest(2, data)))
    }

    fn load(self, key: u32) -> Self {
        self.expression("meta", Attributes::default().number(1, nft::REGISTER).number(2, key))
    }

    fn equals(self, value: &[u8]) -> Self {
        let compare = Attributes::default().number(1, nft::REGISTER).number(2, nft::EQUAL).nest(3, data(value));
        self.expression("cmp", compare)
    }

    /// `(register & mask) ^ toggle`, back into the register.
    fn masked(self, mask: u32, toggle: u32) -> Self {
        let and = Attributes::default().number(1, nft::REGISTER).number(2, nft::REGISTER).number(3, 4);
        let and = and.nest(4, data(&mask.to_ne_bytes())).nest(5, data(&toggle.to_ne_bytes()));
        self.expression("bitwise", and)
    }

    fn marked(self, mask: u32, mark: u32) -> Self {
        self.load(nft::META_MARK).masked(mask, 0).equals(&mark.to_ne_bytes())
    }

    fn load_ct(self, key: u32) -> Self {
        self.expression("ct", Attributes::default().number(1, nft::REGISTER).number(2, key))
    }

    /// What comes back of a connection with [`Self::mark_connection`].
    fn of_reply_marked(self, mask: u32, mark: u32) -> Self {
        let reply = self.load_ct(nft::CT_DIRECTION).equals(&[nft::REPLY]);
        reply.load_ct(nft::CT_MARK).masked(mask, 0).equals(&mark.to_ne_bytes())
    }

    /// Sets our bits of the connection's mark.
    fn mark_connection(self, mask: u32, mark: u32) -> Self {
        let store = Attributes::default().number(2, nft::CT_MARK).number(4, nft::REGISTER);
        self.load_ct(nft::CT_MARK).masked(!mask, mark).expression("ct", store)
    }

    /// Sets our bits of the packet's mark.
    fn mark(self, mask: u32, mark: u32) -> Self {
        let store = Attributes::default().number(2, nft::META_MARK).number(3, nft::REGISTER);
        self.load(nft::META_MARK).masked(!mask, mark).expression("meta", store)
    }

    fn tcp_only(self) -> Self {
        self.load(nft::META_L4PROTO).equals(&[libc::IPPROTO_TCP as u8])
    }

    fn counter(self) -> Self {
        self.expression("counter", Attributes::default())
    }

    fn notrack(self) -> Self {
        self.expression("notrack", Attributes::default())
    }

    fn masquerade(self) -> Self {
        self.expression("masq", Attributes::default())
    }

    /// To port 1, of either family.
    fn transparent(self) -> Self {
        let port = Attributes::default().number(1, nft::REGISTER).nest(2, data(&1_u16.to_be_bytes()));
        self.expression("immediate", port)
            .expression("tproxy", Attributes::default().number(1, nft::EITHER_FAMILY).number(3, nft::REGISTER))
    }

    fn reset(self) -> Self {
        self.expression("reject", Attributes::default().number(1, nft::REJECT_TCP_RESET))
    }
}

fn data(value: &[u8]) -> Attributes {
    Attributes::default().bytes(1, value)
}
