//! Packets of host sockets, on the loopback device: a socket that `connect` marked meets the proxy here.
//!
//! The mark made the route local, so nobody but the proxy can have these packets: what finds no socket is refused.

use axoneme_bpf_common::{Frontend, Place, Reason};
use aya_ebpf::{EbpfContext as _, programs::TcContext};

use crate::{
    maps, mark, monitor,
    packet::{self, Segment},
    socket::Socket,
};

/// `None` is "not ours". All loopback traffic passes here, so the mark is looked at first.
#[inline(always)]
pub(crate) fn take(ctx: &TcContext) -> Option<()> {
    let marks = &maps::settings()?.marks;
    if mark::of(ctx, marks) != marks.host {
        return None;
    }
    let segment = packet::parse(ctx)?;
    if segment.is_error {
        return None;
    }
    let frontend = maps::frontend(&segment.flow.key());
    // SAFETY: the running program's context. What has a socket finds it by itself.
    if let Some(old) = unsafe { Socket::of_connection(ctx.as_ptr(), &segment.flow) } {
        if segment.is_syn() && !old.is_request() {
            count(frontend, &segment, Reason::Reused);
        }
        return None;
    }
    if frontend.is_some_and(|frontend| assign(ctx, &segment, frontend)) {
        return Some(());
    }
    count(frontend, &segment, Reason::Refused);
    mark::set(ctx, marks, marks.refuse);
    Some(())
}

/// To the listener: a SYN, or the ACK of its SYN cookie.
#[inline(always)]
fn assign(ctx: &TcContext, segment: &Segment, frontend: &Frontend) -> bool {
    // SAFETY: the running program's context.
    let Some(listener) = (unsafe { Socket::of_proxy(ctx.as_ptr(), &segment.flow, frontend.proxy_port) }) else {
        return false;
    };
    let reason = if segment.is_syn() {
        Reason::Taken
    } else if listener.sent_cookie(ctx, segment) {
        Reason::Cookie
    } else {
        return false;
    };
    let assigned = listener.assign(ctx);
    count(Some(frontend), segment, if assigned { reason } else { Reason::Unassigned });
    assigned
}

#[inline(always)]
fn count(frontend: Option<&Frontend>, segment: &Segment, reason: Reason) {
    if let Some(frontend) = frontend {
        maps::count(frontend.service, reason);
        monitor::tell(Place::Host, &segment.flow, frontend.service, reason);
    }
}
