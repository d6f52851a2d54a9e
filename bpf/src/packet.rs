//! From a packet to what we need of it: the tuple, and the flags that begin a connection.
//!
//! Offsets count from the network header, so devices with and without a link-layer header look the same.

use core::mem::MaybeUninit;

use axoneme_bpf_common::{FrontendKey, PROTOCOL_TCP};
use aya_ebpf::{
    bindings::bpf_hdr_start_off::BPF_HDR_START_NET, cty::c_void, helpers::bpf_skb_load_bytes_relative,
    programs::TcContext,
};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;
/// Lengths in bytes; the first without options.
const V4_HEADER: u32 = 20;
const V6_HEADER: u32 = 40;
/// Type, code, checksum and four more bytes; then the packet that the error is about.
const ICMP_HEADER: u32 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// An address as the kernel keeps it: words of four bytes in network byte order, IPv4 mapped. Whole words, because a compiler
/// that is shown bytes keeps each in a register or a stack slot of its own.
pub(crate) type Address = [u32; 4];

/// Who talks to whom over TCP. Ports are in network byte order.
///
/// It begins with the same fields as the kernel's tuple of IPv6.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) family: Family,
}

impl Flow {
    /// What this flow's client dialled.
    #[inline(always)]
    pub(crate) fn key(&self) -> FrontendKey {
        FrontendKey::tcp(bytes(self.destination), self.destination_port.to_ne_bytes())
    }
}

/// A TCP packet, or what an ICMP error says of one.
///
/// One type for both, and no field without a value: what may be undefined, the compiler reads too early, and the verifier
/// refuses that.
pub(crate) struct Segment {
    pub(crate) flow: Flow,
    /// Where the TCP header begins, in bytes after the network header. 0 of an error.
    pub(crate) tcp_offset: u32,
    /// None of an error.
    flags: u8,
    /// About a packet whose flow is given as the peer would send it (turned round).
    pub(crate) is_error: bool,
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
pub(crate) fn parse(ctx: &TcContext) -> Option<Segment> {
    match u16::from_be(ctx.skb.protocol() as u16) {
        ETH_P_IP => v4(ctx),
        ETH_P_IPV6 => v6(ctx),
        _ => None,
    }
}

#[inline(always)]
fn v4(ctx: &TcContext) -> Option<Segment> {
    // Most packets have both headers at their usual places: one call of the helper reads them.
    let usual: Option<[u32; 10]> = words(ctx, 0);
    let header = match usual {
        Some([a, b, c, d, e, ..]) => [a, b, c, d, e],
        None => words(ctx, 0)?,
    };
    if is_later_fragment(&header) {
        return None;
    }
    let offset = v4_length(&header);
    match byte(&header, 9) {
        PROTOCOL_TCP => match usual {
            Some([.., ports, _, _, flags, _]) if offset == V4_HEADER => {
                tcp(v4_flow(&header, ports), offset, byte(&[flags], 1))
            }
            _ => segment(ctx, offset, |ports| v4_flow(&header, ports)),
        },
        PROTOCOL_ICMP => {
            // Destination unreachable (which includes "fragmentation needed"), time exceeded, parameter problem.
            let [kind]: [u8; 1] = load(ctx, offset)?;
            if !matches!(kind, 3 | 11 | 12) {
                return None;
            }
            let inner = offset + ICMP_HEADER;
            let header: [u32; 5] = words(ctx, inner)?;
            if byte(&header, 9) != PROTOCOL_TCP || is_later_fragment(&header) {
                return None;
            }
            let [ports] = words(ctx, inner + v4_length(&header))?;
            Some(error(v4_flow(&header, ports)))
        }
        _ => None,
    }
}

/// Extension headers are not walked: such packets pass by.
#[inline(always)]
fn v6(ctx: &TcContext) -> Option<Segment> {
    let usual: Option<[u32; 15]> = words(ctx, 0);
    let header = match usual {
        Some([a, b, c, d, e, f, g, h, i, j, ..]) => [a, b, c, d, e, f, g, h, i, j],
        None => words(ctx, 0)?,
    };
    match byte(&header, 6) {
        PROTOCOL_TCP => match usual {
            Some([.., ports, _, _, flags, _]) => tcp(v6_flow(&header, ports), V6_HEADER, byte(&[flags], 1)),
            None => segment(ctx, V6_HEADER, |ports| v6_flow(&header, ports)),
        },
        PROTOCOL_ICMPV6 => {
            // Destination unreachable, packet too big, time exceeded, parameter problem.
            let [kind]: [u8; 1] = load(ctx, V6_HEADER)?;
            if !matches!(kind, 1..=4) {
                return None;
            }
            let inner = V6_HEADER + ICMP_HEADER;
            let header: [u32; 10] = words(ctx, inner)?;
            if byte(&header, 6) != PROTOCOL_TCP {
                return None;
            }
            let [ports] = words(ctx, inner + V6_HEADER)?;
            Some(error(v6_flow(&header, ports)))
        }
        _ => None,
    }
}

/// A TCP header behind options, or cut off behind its flags.
#[inline(always)]
fn segment(ctx: &TcContext, offset: u32, flow: impl Fn(u32) -> Flow) -> Option<Segment> {
    const FLAGS: u32 = 13;
    let ([ports], [flags]) = (words(ctx, offset)?, load(ctx, offset + FLAGS)?);
    tcp(flow(ports), offset, flags)
}

#[inline(always)]
fn tcp(flow: Flow, tcp_offset: u32, flags: u8) -> Option<Segment> {
    Some(Segment { flow, tcp_offset, flags, is_error: false })
}

#[inline(always)]
fn error(about: Flow) -> Segment {
    let flow = Flow {
        source: about.destination,
        destination: about.source,
        source_port: about.destination_port,
        destination_port: about.source_port,
        family: about.family,
    };
    Segment { flow, tcp_offset: 0, flags: 0, is_error: true }
}

#[inline(always)]
fn is_later_fragment(header: &[u32; 5]) -> bool {
    u16::from_be_bytes([byte(header, 6), byte(header, 7)]) & 0x1fff != 0
}

#[inline(always)]
fn v4_length(header: &[u32; 5]) -> u32 {
    u32::from(byte(header, 0) & 0x0f) * 4
}

#[inline(always)]
fn v4_flow(header: &[u32; 5], ports: u32) -> Flow {
    flow(Family::V4, v4_address(header[3]), v4_address(header[4]), ports)
}

#[inline(always)]
fn v6_flow(header: &[u32; 10], ports: u32) -> Flow {
    let [_, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    flow(Family::V6, [s0, s1, s2, s3], [d0, d1, d2, d3], ports)
}

/// `ports` as the first word of a TCP header.
#[inline(always)]
fn flow(family: Family, source: Address, destination: Address, ports: u32) -> Flow {
    let [s0, s1, d0, d1] = ports.to_ne_bytes();
    let (source_port, destination_port) = (u16::from_ne_bytes([s0, s1]), u16::from_ne_bytes([d0, d1]));
    Flow { source, destination, source_port, destination_port, family }
}

/// `::ffff:a.b.c.d`, the four given as the kernel keeps them.
#[inline(always)]
pub(crate) const fn v4_address(word: u32) -> Address {
    [0, 0, 0xffff_u32.to_be(), word]
}

/// As the maps have it.
#[inline(always)]
pub(crate) fn bytes(address: Address) -> [u8; 16] {
    // SAFETY: plain bytes of the same size, which a word's are in the order that it was read in.
    unsafe { core::mem::transmute(address) }
}

/// One byte of a header.
#[inline(always)]
fn byte(words: &[u32], at: usize) -> u8 {
    words[at / 4].to_ne_bytes()[at % 4]
}

/// `N` words at `offset` after the network header, as they are there.
#[inline(always)]
fn words<const N: usize>(ctx: &TcContext, offset: u32) -> Option<[u32; N]> {
    let mut to = MaybeUninit::<[u32; N]>::uninit();
    // SAFETY: as many bytes as the array has, and they are written when it says so.
    unsafe { read(ctx, offset, to.as_mut_ptr().cast(), 4 * N as u32).then(|| to.assume_init()) }
}

/// `N` bytes at `offset` after the network header.
#[inline(always)]
pub(crate) fn load<const N: usize>(ctx: &TcContext, offset: u32) -> Option<[u8; N]> {
    let mut to = MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: as above.
    unsafe { read(ctx, offset, to.as_mut_ptr().cast(), N as u32).then(|| to.assume_init()) }
}

/// Whether `length` bytes were written.
#[inline(always)]
unsafe fn read(ctx: &TcContext, offset: u32, to: *mut c_void, length: u32) -> bool {
    // SAFETY: the context is the kernel's, and the helper writes `length` bytes or fails.
    unsafe { bpf_skb_load_bytes_relative(ctx.skb.skb.cast::<c_void>(), offset, to, length, BPF_HDR_START_NET) == 0 }
}
