//! `connect` of a process on the host: marks the socket when the proxy is to take the connection.
//!
//! The mark is there before the kernel chooses a route, which makes it a local one with the node's address as source. Neither
//! address is rewritten, so both sides see true ones. Processes of pods run this too, and are left to their device's hook.

use axoneme_bpf_common::{Failure, Frontend, HOST_V4, HOST_V6, Marks, PROTOCOL_TCP, Place, Reason, Settings, State};
use aya_ebpf::{
    EbpfContext as _,
    bindings::{SO_MARK, SOL_SOCKET, bpf_sock},
    cty::c_void,
    helpers::{bpf_bind, bpf_get_netns_cookie, bpf_set_retval, bpf_setsockopt},
    programs::SockAddrContext,
};

use crate::{
    kept, maps, mark, monitor,
    packet::{Address, Family, Flow, v4_address},
    socket::Socket,
};

/// The hook's verdicts.
const ALLOW: i32 = 1;
const DENY: i32 = 0;
const ECONNREFUSED: i32 = 111;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

#[inline(always)]
pub(crate) fn v4(ctx: &SockAddrContext) -> i32 {
    // SAFETY: the context that the kernel hands to the program; its socket is a whole one and never null.
    let (address, bound) = unsafe { ((*ctx.sock_addr).user_ip4, (*(*ctx.sock_addr).__bindgen_anon_1.sk).src_ip4) };
    connect(ctx, Family::V4, Family::V4, v4_address(address), v4_address(bound))
}

#[inline(always)]
pub(crate) fn v6(ctx: &SockAddrContext) -> i32 {
    // SAFETY: as above.
    let (words, bound) = unsafe {
        let socket = (*ctx.sock_addr).__bindgen_anon_1.sk;
        (words((&raw const (*ctx.sock_addr).user_ip6).cast()), words((&raw const (*socket).src_ip6).cast()))
    };
    let family = if words[0] == 0 && words[1] == 0 && words[2] == 0xffff_u32.to_be() { Family::V4 } else { Family::V6 };
    connect(ctx, Family::V6, family, words, bound)
}

/// Word by word, as the verifier wants the fields of a context.
#[inline(always)]
unsafe fn words(ip: *const u32) -> Address {
    // SAFETY: upheld by the caller.
    unsafe { [ip.read_volatile(), ip.add(1).read_volatile(), ip.add(2).read_volatile(), ip.add(3).read_volatile()] }
}

#[inline(always)]
fn connect(ctx: &SockAddrContext, of_socket: Family, family: Family, destination: Address, bound: Address) -> i32 {
    let Some(settings) = maps::settings() else { return ALLOW };
    // SAFETY: the context that the kernel hands to the program; `sk` is a full socket in this hook.
    unsafe {
        let (protocol, port) = ((*ctx.sock_addr).protocol, (*ctx.sock_addr).user_port as u16);
        let here = match family {
            Family::V4 => HOST_V4,
            Family::V6 => HOST_V6,
        };
        if settings.host_families & here == 0
            || protocol != u32::from(PROTOCOL_TCP)
            || bpf_get_netns_cookie(ctx.as_ptr()) != settings.netns_cookie
        {
            return ALLOW;
        }
        let socket = Dialler::of(ctx, &settings.marks);
        if socket.is_not_ours() {
            socket.keep_source(&bound, &destination);
            return ALLOW;
        }
        let flow = Flow { family, source: [0; 4], destination, source_port: 0, destination_port: port };
        match decide(ctx, &flow) {
            Decision::Take => {
                socket.set_mark(settings.marks.host);
                if bound[0] | bound[1] | bound[3] == 0 {
                    speak_from(ctx, of_socket, family, settings);
                }
            }
            Decision::Pass => socket.clear_mark(),
            Decision::Refuse => {
                bpf_set_retval(-ECONNREFUSED);
                return DENY;
            }
        }
    }
    ALLOW
}

/// Binds a socket that is bound to nothing to the node's address, where the route would choose another one. A socket that has
/// a port already keeps what the route chooses.
#[inline(always)]
unsafe fn speak_from(ctx: &SockAddrContext, of_socket: Family, family: Family, settings: &Settings) {
    let source = match family {
        Family::V4 if settings.v4_source != 0 => v4_address(settings.v4_source),
        Family::V6 if settings.v6_source[0] != 0 => settings.v6_source,
        Family::V4 | Family::V6 => return,
    };
    // SAFETY: upheld by the caller; each is a `sockaddr` of its family, of the length that goes with it.
    unsafe {
        match of_socket {
            Family::V4 => {
                let mut address = [u32::from_ne_bytes([AF_INET, 0, 0, 0]), source[3], 0, 0];
                bpf_bind(ctx.sock_addr, (&raw mut address).cast(), size_of_val(&address) as i32);
            }
            Family::V6 => {
                let [a, b, c, d] = source;
                let mut address = [u32::from_ne_bytes([AF_INET6, 0, 0, 0]), 0, a, b, c, d, 0];
                bpf_bind(ctx.sock_addr, (&raw mut address).cast(), size_of_val(&address) as i32);
            }
        }
    }
}

enum Decision {
    Take,
    Pass,
    Refuse,
}

#[inline(always)]
fn decide(ctx: &SockAddrContext, flow: &Flow) -> Decision {
    let Some(frontend) = maps::frontend(&flow.key()) else { return Decision::Pass };
    if frontend.state != State::On as u8 {
        return give_up(flow, frontend, frontend.failure == Failure::RefuseAll as u8, Reason::Drained);
    }
    // SAFETY: the running program's context.
    if unsafe { Socket::of_proxy(ctx.as_ptr(), flow, frontend.proxy_port) }.is_some() {
        // Counted by the packet that the listener takes.
        return Decision::Take;
    }
    give_up(flow, frontend, frontend.failure != Failure::Bypass as u8, Reason::Bypassed)
}

#[inline(always)]
fn give_up(flow: &Flow, frontend: &Frontend, refuse: bool, reason: Reason) -> Decision {
    let reason = if refuse { Reason::Refused } else { reason };
    maps::count(frontend.service, reason);
    monitor::tell(Place::Connect, flow, frontend.service, reason);
    if refuse { Decision::Refuse } else { Decision::Pass }
}

/// The socket that dials.
struct Dialler<'a> {
    ctx: *mut c_void,
    marks: &'a Marks,
    mark: u32,
    device: u32,
}

impl<'a> Dialler<'a> {
    /// # Safety
    /// `ctx` must be the context of the running program.
    #[inline(always)]
    unsafe fn of(ctx: &SockAddrContext, marks: &'a Marks) -> Self {
        // SAFETY: upheld by the caller; the hook's socket is a full one and never null.
        let (mark, device) = unsafe {
            let socket: *mut bpf_sock = (*ctx.sock_addr).__bindgen_anon_1.sk;
            ((*socket).mark, (*socket).bound_dev_if)
        };
        Self { ctx: ctx.as_ptr(), marks, mark, device }
    }

    /// Sockets of the proxy itself, which would come back to it without end; sockets bound to a device, whose packets never
    /// see the loopback device; sockets with a mark of somebody else's making in our bits.
    #[inline(always)]
    fn is_not_ours(&self) -> bool {
        let ours = self.mark & self.marks.mask;
        self.device != 0 || (ours != 0 && ours != self.marks.host)
    }

    /// An upstream socket of the proxy that was bound to the client's address.
    #[inline(always)]
    unsafe fn keep_source(&self, bound: &Address, destination: &Address) {
        let ours = self.mark & self.marks.mask;
        if (ours == self.marks.upstream || ours == self.marks.original_source)
            && let Some(keeping) = maps::keeping()
            && let Some(mark) = kept::mark_of(bound, destination, self.marks, keeping)
        {
            // SAFETY: upheld by the caller.
            unsafe { self.set_mark(mark) };
        }
    }

    #[inline(always)]
    unsafe fn set_mark(&self, value: u32) {
        let mut mark = mark::blend(self.mark, self.marks, value);
        // SAFETY: upheld by the caller; the value is four bytes.
        unsafe {
            bpf_setsockopt(self.ctx, SOL_SOCKET as i32, SO_MARK as i32, (&raw mut mark).cast(), 4);
        }
    }

    /// A socket that dials again after it was refused, and now dials somebody else.
    #[inline(always)]
    unsafe fn clear_mark(&self) {
        if self.mark & self.marks.mask != 0 {
            // SAFETY: upheld by the caller.
            unsafe { self.set_mark(0) };
        }
    }
}
