//! From a packet to what we need of it: the tuple, and the flags that begin a connection.
//!
//! Offsets count from the network header, so devices with and without a link-layer header look the same.

use core::mem::MaybeUninit;

use axoneme_bpf_common::{FrontendKey, PROTOCOL_TCP, mapped};
use aya_ebpf::{
    bindings::bpf_hdr_start_off::BPF_HDR_START_NET, cty::c_void, helpers::bpf_skb_load_bytes_relative,
    programs::TcContext,
};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;
const V6_HEADER: u32 = 40;
/// Type, code, checksum and four more bytes; then the packet that the error is about.
const ICMP_HEADER: u32 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Who talks to whom over TCP. IPv4 addresses are mapped, ports are in network byte order.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) family: Family,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) source_port: [u8; 2],
    pub(crate) destination_port: [u8; 2],
}

impl Flow {
    /// What this flow's client dialled.
    #[inline(always)]
    pub(crate) fn key(&self) -> FrontendKey {
        FrontendKey::tcp(self.destination, self.destination_port)
    }
}

/// What we know to handle.
pub(crate) enum Packet {
    Tcp(Segment),
    /// An ICMP error about a TCP packet, whose flow is given as the peer would send it (turned round).
    IcmpError(Flow),
}

pub(crate) struct Segment {
    pub(crate) flow: Flow,
    /// Where the TCP header begins, in bytes after the network header.
    pub(crate) tcp_offset: u32,
    flags: u8,
}

impl Segment {
    /// The first packet of a connection.
    #[inline(always)]
    pub(crate) fn is_syn(&self) -> bool {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        self.flags & (SYN | ACK) == SYN
    }
}

/// Reads the packet; `None` when it is nothing that we handle, or is cut short.
#[inline(always)]
pub(crate) fn parse(ctx: &TcContext) -> Option<Packet> {
    match u16::from_be(ctx.skb.protocol() as u16) {
        ETH_P_IP => v4(ctx),
        ETH_P_IPV6 => v6(ctx),
        _ => None,
    }
}

#[inline(always)]
fn v4(ctx: &TcContext) -> Option<Packet> {
    let header: [u8; 20] = load(ctx, 0)?;
    if is_later_fragment(&header) {
        return None;
    }
    let offset = v4_length(&header);
    match header[9] {
        PROTOCOL_TCP => segment(ctx, v4_flow(&header), offset),
        PROTOCOL_ICMP => {
            // Destination unreachable (which includes "fragmentation needed"), time exceeded, parameter problem.
            let [kind]: [u8; 1] = load(ctx, offset)?;
            if !matches!(kind, 3 | 11 | 12) {
                return None;
            }
            let inner = offset + ICMP_HEADER;
            let header: [u8; 20] = load(ctx, inner)?;
            if header[9] != PROTOCOL_TCP || is_later_fragment(&header) {
                return None;
            }
            turned_round(ctx, v4_flow(&header), inner + v4_length(&header))
        }
        _ => None,
    }
}

/// Extension headers are not walked: such packets pass by.
#[inline(always)]
fn v6(ctx: &TcContext) -> Option<Packet> {
    let header: [u8; 40] = load(ctx, 0)?;
    match header[6] {
        PROTOCOL_TCP => segment(ctx, v6_flow(&header), V6_HEADER),
        PROTOCOL_ICMPV6 => {
            // Destination unreachable, packet too big, time exceeded, parameter problem.
            let [kind]: [u8; 1] = load(ctx, V6_HEADER)?;
            if !matches!(kind, 1..=4) {
                return None;
            }
            let inner = V6_HEADER + ICMP_HEADER;
            let header: [u8; 40] = load(ctx, inner)?;
            if header[6] != PROTOCOL_TCP {
                return None;
            }
            turned_round(ctx, v6_flow(&header), inner + V6_HEADER)
        }
        _ => None,
    }
}

#[inline(always)]
fn segment(ctx: &TcContext, mut flow: Flow, tcp_offset: u32) -> Option<Packet> {
    let tcp: [u8; 14] = load(ctx, tcp_offset)?;
    flow.source_port = [tcp[0], tcp[1]];
    flow.destination_port = [tcp[2], tcp[3]];
    Some(Packet::Tcp(Segment { flow, tcp_offset, flags: tcp[13] }))
}

#[inline(always)]
fn turned_round(ctx: &TcContext, inner: Flow, tcp_offset: u32) -> Option<Packet> {
    let [s0, s1, d0, d1]: [u8; 4] = load(ctx, tcp_offset)?;
    Some(Packet::IcmpError(Flow {
        family: inner.family,
        source: inner.destination,
        destination: inner.source,
        source_port: [d0, d1],
        destination_port: [s0, s1],
    }))
}

#[inline(always)]
fn is_later_fragment(header: &[u8; 20]) -> bool {
    u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0
}

#[inline(always)]
fn v4_length(header: &[u8; 20]) -> u32 {
    u32::from(header[0] & 0x0f) * 4
}

#[inline(always)]
fn v4_flow(header: &[u8; 20]) -> Flow {
    Flow {
        family: Family::V4,
        source: mapped([header[12], header[13], header[14], header[15]]),
        destination: mapped([header[16], header[17], header[18], header[19]]),
        source_port: [0; 2],
        destination_port: [0; 2],
    }
}

#[inline(always)]
fn v6_flow(header: &[u8; 40]) -> Flow {
    let mut flow = Flow {
        family: Family::V6,
        source: [0; 16],
        destination: [0; 16],
        source_port: [0; 2],
        destination_port: [0; 2],
    };
    flow.source.copy_from_slice(&header[8..24]);
    flow.destination.copy_from_slice(&header[24..40]);
    flow
}

/// `N` bytes at `offset` after the network header.
#[inline(always)]
pub(crate) fn load<const N: usize>(ctx: &TcContext, offset: u32) -> Option<[u8; N]> {
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: the context is the kernel's, and the helper writes `N` bytes or fails.
    unsafe {
        let to = bytes.as_mut_ptr().cast::<c_void>();
        let from = ctx.skb.skb.cast::<c_void>();
        (bpf_skb_load_bytes_relative(from, offset, to, N as u32, BPF_HDR_START_NET) == 0).then(|| bytes.assume_init())
    }
}
