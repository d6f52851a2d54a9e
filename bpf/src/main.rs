//! The eBPF programs, one entry point per hook. Which packet is taken, and why, is in [`ingress`] and [`host`].
//!
//! `from_container` and `from_netdev` are one logic with two names, so that tools show where a program sits. Only the second
//! looks at the ranges of addresses that may connect: they are about clients outside.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "every helper of the kernel is an unsafe call")]

use axoneme_bpf_common::Place;
use aya_ebpf::{
    bindings::tcx_action_base::TCX_NEXT,
    macros::{cgroup_sock_addr, classifier},
    programs::{SockAddrContext, TcContext},
};

mod connect;
mod host;
mod ingress;
mod kept;
mod maps;
mod mark;
mod monitor;
mod packet;
mod seat;
mod socket;

/// Host side of a pod's device, bridge ports and bridges: pods dial.
#[classifier]
fn from_container(ctx: TcContext) -> i32 {
    next(ingress::take(&ctx, Place::Container))
}

/// Uplinks: clients outside of the node dial.
#[classifier]
fn from_netdev(ctx: TcContext) -> i32 {
    next(ingress::take(&ctx, Place::Netdev))
}

/// The loopback device: packets of host sockets that [`connect4`] or [`connect6`] marked.
#[classifier]
fn from_host(ctx: TcContext) -> i32 {
    next(host::take(&ctx))
}

/// A process of the host dials an IPv4 address.
#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    connect::v4(&ctx)
}

/// A process of the host dials an IPv6 address, or an IPv4 one from a dual-stack socket.
#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    connect::v6(&ctx)
}

/// Whatever was decided, it is in the packet's mark and socket. Any verdict but "next" would silence the programs after
/// ours, which are the CNI's.
#[inline(always)]
fn next(_: Option<()>) -> i32 {
    TCX_NEXT
}

/// The helpers that we call are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics: the verifier refuses a loop that does not end.
    loop {}
}
