//! Keys and values of the maps.

/// `IPPROTO_TCP`.
pub const PROTOCOL_TCP: u8 = 6;

/// The most frontends, and the most services with counters, that a node can have.
pub const CAPACITY: u32 = 65_536;

/// The key of the map `frontends`: what a client dials. Aligned, so that programs write it word by word.
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontendKey {
    /// Destination address, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// Destination port, network byte order.
    pub port: [u8; 2],
    /// [`PROTOCOL_TCP`]: the only one so far.
    pub protocol: u8,
    /// Always 0: the rest of the key.
    pub zero: u8,
}

/// The value of the map `frontends`: where its connections go.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontend {
    /// The key of the map `counters`.
    pub service: u32,
    /// Port of the proxy's listener on the loopback addresses, network byte order.
    pub proxy_port: [u8; 2],
    /// A [`State`].
    pub state: u8,
    /// A [`Failure`].
    pub failure: u8,
    /// A [`Sources`].
    pub sources: u8,
    /// Always 0.
    pub zero: [u8; 3],
}

/// What happens to new connections of a frontend.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They go to the proxy.
    On = 1,
    /// They go around the proxy; those that it has stay.
    Draining = 2,
}

/// What happens when nothing listens on the proxy port.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// New connections go around the proxy.
    Bypass = 1,
    /// New connections are refused; what the proxy does not have is left alone.
    Refuse = 2,
    /// Whatever the proxy does not have is refused: there is nobody else to serve this address.
    RefuseAll = 3,
}

/// Who may open connections from outside of the node.
///
/// 0 is what a loader that did not know of it wrote.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Everybody.
    All = 0,
    /// Those in the map `sources`, under the frontend's service. Without one there, nobody.
    Listed = 1,
}

/// The key of the map `sources`, behind the length of a prefix of it in bits: a service and a range of addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKey {
    /// As [`Frontend::service`].
    pub service: u32,
    /// 4 or 6: `::/0` is no range of IPv4 addresses.
    pub family: u32,
    /// The client's address, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

impl SourceKey {
    /// The length of a prefix, in bits, that ends where the address begins.
    pub const BITS_BEFORE_ADDRESS: u32 = 64;
    /// The length of a whole key, in bits.
    pub const BITS: u32 = Self::BITS_BEFORE_ADDRESS + 128;
}

/// The single value of the map `settings`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Cookie of the host's network namespace: `connect` in any other one is not ours.
    pub netns_cookie: u64,
    /// The marks in use.
    pub marks: Marks,
    /// [`HOST_V4`] and [`HOST_V6`]: for which families the node has an address that its processes can speak from.
    pub host_families: u32,
    /// Where IPVS is, the address, in network byte order, that a socket of the host is bound to before its connection is taken: the
    /// route would choose the service's, which IPVS makes the node's own. Else 0: the route chooses.
    pub v4_source: u32,
    /// The same for IPv6.
    pub v6_source: [u32; 4],
    /// Always 0.
    pub zero: u32,
}

/// Bit of [`Settings::host_families`].
pub const HOST_V4: u32 = 1;
/// Bit of [`Settings::host_families`].
pub const HOST_V6: u32 = 2;

/// Values of `skb->mark` and `SO_MARK`, all within `mask`. Bits outside of the mask are never changed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The bits that are ours.
    pub mask: u32,
    /// A packet taken from a pod or from outside.
    pub taken: u32,
    /// A socket of a host process whose packets are taken.
    pub host: u32,
    /// Sockets of the proxy's listeners, and all that they accept.
    pub listener: u32,
    /// The proxy's upstream sockets that carry the client's own address.
    pub original_source: u32,
    /// The proxy's other upstream sockets.
    pub upstream: u32,
    /// A packet to be answered with a RST.
    pub refuse: u32,
}

/// The single value of the map `keeping`: whether upstream connections speak from their client's address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// 0: none does, and nobody looks for replies to one.
    pub on: u32,
    /// The mark of upstream sockets that were to, but speak from the node's address: replies would not come back here.
    pub node_source: u32,
}

/// The value of the map `near`, whose key is an address or a range of them.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// The node's own.
    Own = 1,
    /// Behind a device whose packets `from_container` sees.
    Pod = 2,
    /// Behind a device whose packets no program sees, such as one end of a tunnel.
    Unseen = 3,
}

/// Index into [`Tally::counts`].
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A connection was given to the proxy.
    Taken = 0,
    /// A SYN met an older socket of its tuple.
    Reused = 1,
    /// A handshake was finished by a SYN cookie.
    Cookie = 2,
    /// No listener: around the proxy.
    Bypassed = 3,
    /// No listener: refused.
    Refused = 4,
    /// Draining: around the proxy.
    Drained = 5,
    /// A packet of a connection that the proxy does not have.
    Foreign = 6,
    /// The kernel did not give the packet to the listener that it had found.
    Unassigned = 7,
    /// The client is outside of the ranges that may connect: refused.
    SourceRange = 8,
}

/// The value of the map `counters`, per service and processor.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// One running sum per [`Reason`].
    pub counts: [u64; 9],
}

/// The single value of the map `monitor`: how many events are told.
///
/// Each processor tells one every `interval` at most, and as many at once as fit into `burst`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Nanoseconds. 0: nobody watches, and nothing is told.
    pub interval: u64,
    /// Nanoseconds.
    pub burst: u64,
}

/// The value of the map `told`, per processor.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// When the next event may be told, by the clock of [`RedirectEvent::time`].
    pub next: u64,
    /// Running sum of those that were not told: there were too many, or nobody read them in time.
    pub lost: u64,
}

/// An entry of the ring buffer `events`: what a program counted.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectEvent {
    /// Nanoseconds since boot, without those asleep (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// The client, IPv4 as `::ffff:a.b.c.d`. All zero in `connect`: a socket has no address yet.
    pub source: [u8; 16],
    /// What it dialled.
    pub destination: [u8; 16],
    /// Network byte order.
    pub source_port: [u8; 2],
    /// Network byte order.
    pub destination_port: [u8; 2],
    /// As [`Frontend::service`].
    pub service: u32,
    /// A [`Reason`].
    pub reason: u32,
    /// A [`Place`].
    pub place: u32,
}

/// Where a program saw what it tells.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A pod's device, or a bridge of pods.
    Container = 1,
    /// An uplink.
    Netdev = 2,
    /// The loopback device.
    Host = 3,
    /// `connect` of a process on the host.
    Connect = 4,
}

impl FrontendKey {
    /// The key of a TCP frontend.
    #[inline(always)]
    pub const fn tcp(address: [u8; 16], port: [u8; 2]) -> Self {
        Self { address, port, protocol: PROTOCOL_TCP, zero: 0 }
    }
}

/// `::ffff:a.b.c.d`.
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

#[cfg(feature = "user")]
mod user {
    #![expect(unsafe_code, reason = "aya copies these types to and from kernel memory")]
    use super::{Frontend, FrontendKey, Keeping, Pace, Settings, SourceKey, Tally, Told};

    // SAFETY: `repr(C)`, made of integers only, and without padding (asserted in `layout`): every byte pattern is a value.
    unsafe impl aya::Pod for FrontendKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Frontend {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Tally {}
    // SAFETY: as above.
    unsafe impl aya::Pod for SourceKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Keeping {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Pace {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Told {}
}
