//! Past IPVS: what the proxy takes is none of its packets.
//!
//! kube-proxy in ipvs mode makes the addresses of services the node's own, and IPVS gives what comes for them to a backend: at
//! LOCAL_IN after our programs and before TCP, and at LOCAL_OUT. It finds its services and connections by the destination. So this is
//! inverted while a packet of ours passes IPVS, and inverted back right after. As text:
//!
//! ```text
//! chain turn {
//!   meta nfproto ipv4 ip daddr set ip daddr ^ 255.255.255.255
//!   meta nfproto ipv6 @nh,192,32 set @nh,192,32 ^ 0xffffffff
//! }
//! chain before_in { type filter hook input priority 97; meta mark & 0xf00 == 0x200 meta l4proto tcp jump turn; and for 0x600 }
//! chain after_in { the same at 100 }
//! chain before_out { type filter hook output priority -100; meta mark & 0xf00 == 0x600 meta l4proto tcp jump turn }
//! chain after_out { the same at -97 }
//! ```
//!
//! IPVS sits at 98 and 99, and at -99 and -98 (`ip_vs_ops` of `net/netfilter/ipvs/ip_vs_core.c`). Nothing else looks at the
//! destination in between: the route is chosen, and address translation leaves alone what is not tracked. No checksum is adapted, as every bit
//! comes back. An inverted address is nobody's: of IPv6 it is in a range that is not given out. The address it is, and not the
//! protocol: kernels since July 2026 let nftables write no other fields that IPVS looks at.

use super::{
    super::config::Marks,
    batch::Batch,
    nft,
    rule::{Family, Rule},
};

const TURN: &str = "turn";
/// Where an address begins in its header, in bytes.
const V4_DESTINATION: u32 = 16;
const V6_DESTINATION: u32 = 24;
const BEFORE_IN: i32 = 97;
const AFTER_IN: i32 = 100;
const BEFORE_OUT: i32 = -100;
const AFTER_OUT: i32 = -97;

/// Adds the chains to a table.
pub(super) fn describe(batch: &mut Batch, table: &str, marks: &Marks) {
    batch.plain_chain(table, TURN);
    batch.rule(table, TURN, Rule::default().of_family(Family::V4).invert(V4_DESTINATION));
    batch.rule(table, TURN, Rule::default().of_family(Family::V6).invert(V6_DESTINATION));
    for (chain, hook, priority, turned) in [
        ("before_in", nft::HOOK_INPUT, BEFORE_IN, &[marks.taken, marks.host][..]),
        ("after_in", nft::HOOK_INPUT, AFTER_IN, &[marks.taken, marks.host]),
        ("before_out", nft::HOOK_OUTPUT, BEFORE_OUT, &[marks.host]),
        ("after_out", nft::HOOK_OUTPUT, AFTER_OUT, &[marks.host]),
    ] {
        batch.chain(table, chain, "filter", hook, priority);
        for mark in turned {
            batch.rule(table, chain, Rule::default().marked(marks.mask, *mark).tcp_only().jump(TURN));
        }
    }
}
