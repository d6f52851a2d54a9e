//! Upstream connections that speak from their client's address.
//!
//! Their replies are addressed to the client, who never asked for them. So the hook that sees a reply first looks for the proxy's
//! socket and marks the packet as taken. Where no hook would see replies, the socket speaks from the node's address after all.

use axoneme_bpf_common::{Keeping, Marks, Near, Place};
use aya_ebpf::{EbpfContext as _, helpers::bpf_skb_store_bytes, programs::TcContext};

use crate::{
    maps, mark,
    packet::{Address, Flow},
    socket::Socket,
};

/// The mark of an upstream socket that is about to dial; `None` where it stays as it is.
///
/// Replies come by a hook of this node when it has the backend, or has the client and a backend that is not behind an unseen
/// device. They never do when both are elsewhere, when a pod asks itself, or when a process of the node answers a pod.
#[inline(always)]
pub(crate) fn mark_of(bound: &Address, destination: &Address, marks: &Marks, keeping: &Keeping) -> Option<u32> {
    let (client, backend) = (maps::near(bound), maps::near(destination));
    let (own, pod, unseen) = (Near::Own as u32, Near::Pod as u32, Near::Unseen as u32);
    let [first, second, _, last] = *bound;
    // Bound to no address, IPv4 or IPv6: the kernel chooses the node's.
    if first | second | last == 0 || client == own {
        return None;
    }
    let seen = backend == pod || (client == pod && backend != own && backend != unseen);
    let seen = seen && bound != destination;
    Some(if seen { marks.original_source } else { keeping.node_source })
}

/// Takes a packet, which is to no frontend, if it belongs to such a connection.
#[inline(always)]
pub(crate) fn reply(ctx: &TcContext, place: Place, marks: &Marks, flow: &Flow) -> Option<()> {
    maps::keeping()?;
    find(ctx, place, marks, flow)
}

/// The same, where there are such connections.
#[inline(never)]
fn find(ctx: &TcContext, place: Place, marks: &Marks, flow: &Flow) -> Option<()> {
    // SAFETY: the running program's context.
    let socket = unsafe { Socket::of_connection(ctx.as_ptr(), flow) }?;
    let kept = match socket.mark() {
        Some(mark) => mark & marks.mask == marks.original_source,
        // One that is over shows no mark; but with an address of the node's own it was none of these.
        None => socket.is_over() && maps::near(&flow.destination) != Near::Own as u32,
    };
    if !kept {
        return None;
    }
    mark::set(ctx, marks, marks.taken);
    if place as u32 == Place::Container as u32 {
        lift(ctx);
    }
    Some(())
}

/// Between two pods of a bridge, a packet has the link-layer address of the other pod and would never come up to the node: it gets
/// that of the bridge.
#[inline(always)]
fn lift(ctx: &TcContext) {
    // SAFETY: the context that the kernel hands to the program; six bytes of the value's eight.
    unsafe {
        if let Some(bridge) = maps::bridge((*ctx.skb.skb).ifindex) {
            bpf_skb_store_bytes(ctx.skb.skb, 0, bridge.as_ptr().cast(), 6, 0);
        }
    }
}
