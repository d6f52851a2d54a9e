//! Packets that come in from pods and from outside: which ones the proxy takes.
//!
//! A decision is a mark on the packet: *taken* is routed to the local stack and not tracked, *refuse* is answered with a RST.
//! Without a mark the packet goes where it would go without us.
//!
//! What few packets meet is in functions of their own, which cost a call (some 7 ns): the way of most packets stays short, and
//! with it what they need of the processor's caches.

use axoneme_bpf_common::{Failure, Frontend, Marks, Place, Reason, Sources, State};
use aya_ebpf::{EbpfContext as _, programs::TcContext};

use crate::{
    kept, maps, mark, monitor,
    packet::{self, Flow, Segment},
    socket::Socket,
};

/// `None` is "not ours", at whichever step that was seen.
#[inline(always)]
pub(crate) fn take(ctx: &TcContext, place: Place) -> Option<()> {
    let marks = &maps::settings()?.marks;
    let segment = packet::parse(ctx)?;
    if segment.is_error { icmp_error(ctx, place, marks, &segment.flow) } else { tcp(ctx, place, marks, &segment) }
}

#[inline(always)]
fn tcp(ctx: &TcContext, place: Place, marks: &Marks, segment: &Segment) -> Option<()> {
    let Some(frontend) = maps::frontend(&segment.flow.key()) else {
        return kept::reply(ctx, place, marks, &segment.flow);
    };
    let before = mark::of(ctx, marks);
    if before == marks.refuse {
        // By the device before this one, a port of this bridge. It stays so.
        return Some(());
    }
    // SAFETY: the running program's context.
    if !segment.is_syn() && unsafe { Socket::of_connection(ctx.as_ptr(), &segment.flow) }.is_some() {
        mark::set(ctx, marks, marks.taken);
        return Some(());
    }
    let visit = Visit { ctx, place, marks, segment, frontend, first: before != marks.taken };
    if segment.is_syn() {
        visit.syn()
    } else {
        visit.stray()
    }
    Some(())
}

/// The way of an error is found by the address that it is about: without this, large answers to clients behind a smaller MTU
/// hang, because "fragmentation needed" is sent to an address that is nobody's on this node.
#[inline(never)]
fn icmp_error(ctx: &TcContext, place: Place, marks: &Marks, flow: &Flow) -> Option<()> {
    if maps::frontend(&flow.key()).is_none() {
        return kept::reply(ctx, place, marks, flow);
    }
    // SAFETY: the running program's context.
    unsafe { Socket::of_connection(ctx.as_ptr(), flow) }?;
    mark::set(ctx, marks, marks.taken);
    Some(())
}

/// One TCP packet to a frontend.
struct Visit<'a> {
    ctx: &'a TcContext,
    place: Place,
    marks: &'a Marks,
    segment: &'a Segment,
    frontend: &'a Frontend,
    /// Not yet taken by a hook that it passed before. A packet from a pod behind a bridge comes by twice: netfilter at the
    /// bridge port drops its socket, so the bridge assigns it again, but it counts once.
    first: bool,
}

impl Visit<'_> {
    /// A SYN looks for an older socket of its tuple first: the kernel drops a SYN that is assigned to a listener while the tuple
    /// is in TIME_WAIT, and the client would wait a minute.
    #[inline(never)]
    fn syn(&self) {
        if self.is_draining() {
            return self.give_up(Reason::Drained);
        }
        if self.is_unlisted() {
            self.count(Reason::SourceRange);
            return self.mark(self.marks.refuse);
        }
        // SAFETY: the running program's context.
        if let Some(old) = unsafe { Socket::of_connection(self.ctx.as_ptr(), &self.segment.flow) } {
            if !old.is_request() {
                self.count(Reason::Reused);
            }
            return self.mark(self.marks.taken);
        }
        let Some(listener) = self.listener() else { return self.give_up(Reason::Bypassed) };
        if listener.assign(self.ctx) {
            self.count(Reason::Taken);
            self.mark(self.marks.taken);
        } else {
            self.count(Reason::Unassigned);
            self.give_up(Reason::Bypassed);
        }
    }

    /// A packet of no connection of the proxy's.
    #[inline(never)]
    fn stray(&self) {
        if !self.is_draining() && self.is_answer_to_cookie() {
            self.count(Reason::Cookie);
            return self.mark(self.marks.taken);
        }
        if self.frontend.failure == Failure::RefuseAll as u8 {
            self.refuse();
        } else {
            self.count(Reason::Foreign);
        }
    }

    /// A flooded listener keeps no request sockets: the ACK of its cookie must find it again.
    #[inline(always)]
    fn is_answer_to_cookie(&self) -> bool {
        self.listener()
            .is_some_and(|listener| listener.sent_cookie(self.ctx, self.segment) && listener.assign(self.ctx))
    }

    #[inline(always)]
    fn listener(&self) -> Option<Socket> {
        // SAFETY: the running program's context.
        unsafe { Socket::of_proxy(self.ctx.as_ptr(), &self.segment.flow, self.frontend.proxy_port) }
    }

    /// The proxy will not have this new connection: around it, for the `reason`, or refused.
    #[inline(always)]
    fn give_up(&self, reason: Reason) {
        let refuse = self.frontend.failure == Failure::RefuseAll as u8
            || (self.frontend.failure == Failure::Refuse as u8 && !self.is_draining());
        if refuse { self.refuse() } else { self.count(reason) }
    }

    #[inline(always)]
    fn refuse(&self) {
        self.count(Reason::Refused);
        self.mark(self.marks.refuse);
    }

    /// From outside, and not of the ranges that may connect. A pod behind a bridge that is an uplink too is none of them: its
    /// own device took the packet before.
    #[inline(always)]
    fn is_unlisted(&self) -> bool {
        self.place as u32 == Place::Netdev as u32
            && self.frontend.sources == Sources::Listed as u8
            && self.first
            && !maps::is_listed(self.frontend.service, &self.segment.flow)
    }

    #[inline(always)]
    fn is_draining(&self) -> bool {
        self.frontend.state != State::On as u8
    }

    #[inline(always)]
    fn mark(&self, value: u32) {
        mark::set(self.ctx, self.marks, value);
    }

    #[inline(always)]
    fn count(&self, reason: Reason) {
        if self.first {
            maps::count(self.frontend.service, reason);
            monitor::tell(self.place, &self.segment.flow, self.frontend.service, reason);
        }
    }
}
