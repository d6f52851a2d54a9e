//! The kernel's sockets: look one up, ask its state, hand a packet to it.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::{BPF_F_CURRENT_NETNS, bpf_sock, bpf_sock_tuple},
    cty::c_void,
    helpers::{bpf_sk_assign, bpf_sk_fullsock, bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_check_syncookie},
    programs::TcContext,
};

use crate::{
    packet::{self, Family, Flow, Segment},
    seat::Seat,
};

/// States of a socket (`enum` in the kernel's `net/tcp_states.h`).
const TCP_TIME_WAIT: u32 = 6;
const TCP_LISTEN: u32 = 10;
const TCP_NEW_SYN_RECV: u32 = 12;

/// A socket of any state, request sockets and TIME_WAIT included; released on drop, as the verifier demands.
pub(crate) struct Socket(*mut bpf_sock);

impl Socket {
    /// The socket that the kernel would give this flow's packets to. A listener counts, also one of every address.
    ///
    /// # Safety
    /// `ctx` must be the context of the running program.
    #[inline(always)]
    unsafe fn of(ctx: *mut c_void, flow: &Flow) -> Option<Self> {
        // SAFETY: upheld by the caller.
        let socket = unsafe { look_up(ctx, flow) };
        if socket.is_null() { None } else { Some(Self(socket)) }
    }

    /// A socket that has this very connection, however far on its way; never a listener.
    ///
    /// # Safety
    /// As for [`Socket::of`].
    #[inline(always)]
    pub(crate) unsafe fn of_connection(ctx: *mut c_void, flow: &Flow) -> Option<Self> {
        // SAFETY: upheld by the caller.
        let socket = unsafe { Self::of(ctx, flow) }?;
        if socket.state() == TCP_LISTEN { None } else { Some(socket) }
    }

    /// The proxy's listener, with the client's own source in the tuple, so that a group of sockets spreads clients. Of two
    /// proxies it is the preferred one's, if that listens.
    ///
    /// # Safety
    /// As for [`Socket::of`].
    #[inline(always)]
    pub(crate) unsafe fn of_proxy(ctx: *mut c_void, flow: &Flow, proxy_port: [u8; 2]) -> Option<Self> {
        let seat = Seat::preferred();
        // SAFETY: upheld by the caller.
        match unsafe { Self::at_seat(ctx, flow, proxy_port, seat) } {
            Some(listener) => Some(listener),
            // SAFETY: upheld by the caller.
            None => unsafe { Self::at_seat(ctx, flow, proxy_port, seat.other()) },
        }
    }

    #[inline(always)]
    unsafe fn at_seat(ctx: *mut c_void, flow: &Flow, proxy_port: [u8; 2], seat: Seat) -> Option<Self> {
        let mut flow = *flow;
        flow.destination = seat.address(flow.family);
        flow.destination_port = u16::from_ne_bytes(proxy_port);
        // SAFETY: upheld by the caller.
        let socket = unsafe { Self::of(ctx, &flow) }?;
        if socket.state() == TCP_LISTEN { Some(socket) } else { None }
    }

    /// Whether the handshake is under way: this SYN is a repetition.
    #[inline(always)]
    pub(crate) fn is_request(&self) -> bool {
        self.state() == TCP_NEW_SYN_RECV
    }

    /// Whether the connection is over on our side, and this is what the kernel keeps of it.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.state() == TCP_TIME_WAIT
    }

    /// Its mark. What is not a whole socket, such as one in TIME_WAIT, has none that could be read.
    #[inline(always)]
    pub(crate) fn mark(&self) -> Option<u32> {
        // SAFETY: a socket of the kernel's, referenced until drop; what comes back is the same one, or null.
        unsafe {
            let whole = bpf_sk_fullsock(self.0);
            if whole.is_null() { None } else { Some((*whole).mark) }
        }
    }

    /// Gives the packet to this socket, past the lookup by address. Only at ingress.
    #[inline(always)]
    pub(crate) fn assign(&self, ctx: &TcContext) -> bool {
        // SAFETY: a context and a socket of the kernel's; the packet takes a reference of its own.
        unsafe { bpf_sk_assign(ctx.skb.skb.cast(), self.0.cast(), 0) == 0 }
    }

    /// Whether the packet is the ACK that answers a SYN cookie of this listener.
    #[inline(always)]
    pub(crate) fn sent_cookie(&self, ctx: &TcContext, segment: &Segment) -> bool {
        let Some(mut tcp) = packet::load::<20>(ctx, segment.tcp_offset) else { return false };
        // The helper wants the header's length to agree with the bytes that it is given; options do not matter to it.
        tcp[12] = 5 << 4;
        // SAFETY: headers of the given lengths.
        unsafe {
            match segment.flow.family {
                Family::V4 => packet::load::<20>(ctx, 0).is_some_and(|mut ip| self.check_cookie(&mut ip, &mut tcp)),
                Family::V6 => packet::load::<40>(ctx, 0).is_some_and(|mut ip| self.check_cookie(&mut ip, &mut tcp)),
            }
        }
    }

    #[inline(always)]
    unsafe fn check_cookie<const N: usize>(&self, ip: &mut [u8; N], tcp: &mut [u8; 20]) -> bool {
        let (ip, tcp) = (ip.as_mut_ptr().cast(), tcp.as_mut_ptr().cast());
        // SAFETY: both point to as many bytes as is said.
        unsafe { bpf_tcp_check_syncookie(self.0.cast(), ip, N as u32, tcp, 20) == 0 }
    }

    /// The one field that may be read of every kind of socket.
    #[inline(always)]
    fn state(&self) -> u32 {
        // SAFETY: not null, and referenced until drop.
        unsafe { (*self.0).state }
    }
}

impl Drop for Socket {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the reference that the lookup took, given back once.
        unsafe { bpf_sk_release(self.0.cast()) };
    }
}

/// # Safety
/// As for [`Socket::of`].
#[inline(always)]
unsafe fn look_up(ctx: *mut c_void, flow: &Flow) -> *mut bpf_sock {
    let here = BPF_F_CURRENT_NETNS as i64 as u64;
    // SAFETY: a tuple of its family's size, which tells the kernel the family; the rest is upheld by the caller.
    unsafe {
        match flow.family {
            Family::V4 => {
                let mut tuple = V4Tuple {
                    source: flow.source[3],
                    destination: flow.destination[3],
                    source_port: flow.source_port,
                    destination_port: flow.destination_port,
                };
                bpf_skc_lookup_tcp(ctx, (&raw mut tuple).cast(), size_of::<V4Tuple>() as u32, here, 0)
            }
            Family::V6 => {
                let tuple: *const Flow = flow;
                bpf_skc_lookup_tcp(ctx, tuple.cast_mut().cast(), offset_of!(Flow, family) as u32, here, 0)
            }
        }
    }
}

/// `bpf_sock_tuple` of IPv4.
#[repr(C)]
struct V4Tuple {
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
}

const _: () = assert!(offset_of!(Flow, family) == size_of::<bpf_sock_tuple>());
