//! The border between what the node wants and what its kernel does.
//!
//! Reconciliation speaks to a [`Datapath`]; [`crate::kernel`] is the real one. Everything here is plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use tokio::sync::watch;

use crate::{layout::Layout, seat::Seat};

/// Whose counters a frontend moves. The caller numbers its services; a number is kept in the kernel's map with the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// What happens to new connections of a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendState {
    /// New connections go to the proxy.
    On,
    /// New connections go where they would go without us; those at the proxy stay there until they end.
    Draining,
}

/// What happens to a new connection while no socket listens on the proxy port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnProxyFailure {
    /// It goes where it would go without us, and is counted.
    Bypass,
    /// It is answered with a RST at once. Connections that the proxy does not have, such as those that began before the
    /// redirect, are left alone.
    Refuse,
    /// Whatever the proxy does not have is answered with a RST, also while draining. The only right choice for an address
    /// without backends: nobody else can serve it, and clients would hang.
    RefuseAll,
}

/// Who may open connections to a frontend from outside of the node. Pods and processes of the node always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sources {
    /// Everybody.
    All,
    /// Those that [`Datapath::set_sources`] lists for the service; everybody else is answered with a RST.
    Listed,
}

/// Addresses that share their first bits. Those behind are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceRange {
    address: IpAddr,
    length: u8,
}

impl SourceRange {
    /// The range around an address; `length` is in bits, and no more than the address has.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        let shared = u32::from(length);
        match address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(shared)).unwrap_or(0);
                Self { address: Ipv4Addr::from(u32::from(ip) & mask).into(), length: length.min(32) }
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(shared)).unwrap_or(0);
                Self { address: Ipv6Addr::from(u128::from(ip) & mask).into(), length: length.min(128) }
            }
        }
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits are shared.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }
}

impl fmt::Display for SourceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What the kernel knows of one frontend (an address and a TCP port that clients dial).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The port of Envoy's transparent listener, on 127.0.0.1 and `[::1]`. 0: none yet, and until then connections are refused,
    /// so never with [`OnProxyFailure::Bypass`].
    pub proxy_port: u16,
    /// On, or draining.
    pub state: FrontendState,
    /// What to do while nothing listens on `proxy_port`.
    pub on_proxy_failure: OnProxyFailure,
    /// Whose counters to move, and whose ranges to look at.
    pub service: ServiceId,
    /// Who may connect from outside.
    pub sources: Sources,
}

/// Why something was counted. Each is a number of connection attempts, but [`Reason::Foreign`], which counts packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A connection was given to the proxy.
    Taken,
    /// A SYN met an older socket of the same tuple (TIME_WAIT, mostly), which decides what becomes of it.
    Reused,
    /// A handshake was finished by a SYN cookie, which shows that the proxy's listen queue overflows.
    Cookie,
    /// Nothing listens on the proxy port: the connection went around the proxy.
    Bypassed,
    /// Nothing listens on the proxy port: the connection was refused.
    Refused,
    /// The frontend is draining: the connection went around the proxy.
    Drained,
    /// A packet of a connection that the proxy does not have, such as one that began before the redirect.
    Foreign,
    /// The kernel did not give a SYN to the listener that was found; treated as if there were none.
    Unassigned,
    /// A client outside is not in the ranges that may connect: refused.
    SourceRange,
}

impl Reason {
    /// Every reason, in the order of the kernel's counters.
    pub const ALL: [Self; 9] = [
        Self::Taken,
        Self::Reused,
        Self::Cookie,
        Self::Bypassed,
        Self::Refused,
        Self::Drained,
        Self::Foreign,
        Self::Unassigned,
        Self::SourceRange,
    ];

    /// The value of the metric's label `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Reused => "reused",
            Self::Cookie => "cookie",
            Self::Bypassed => "bypassed",
            Self::Refused => "refused",
            Self::Drained => "drained",
            Self::Foreign => "foreign",
            Self::Unassigned => "unassigned",
            Self::SourceRange => "source-range",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Running sums, per service and reason. A service without any frontend has none.
pub type Counters = BTreeMap<(ServiceId, Reason), u64>;

/// The kernel, as reconciliation needs it. All calls are short system calls; none waits for anything.
pub trait Datapath: Send {
    /// Puts or replaces the entry of `frontend`, atomically. Cost: one map update.
    fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError>;

    /// Takes `frontend` off the map; one that is not there is no error.
    ///
    /// Connections that are still at the proxy break: set [`FrontendState::Draining`] and wait for
    /// [`Datapath::connections`] to be 0 first.
    fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError>;

    /// Lists who may connect to those frontends of `service` that are [`Sources::Listed`], in place of who was listed before.
    ///
    /// Ranges come before others go, so that nobody who may connect is ever refused. Cost: what differs.
    fn set_sources(&mut self, service: ServiceId, sources: &BTreeSet<SourceRange>) -> Result<(), DatapathError>;

    /// Whether upstream connections that are bound to their client's address are carried: their replies are looked for among
    /// what is sent to nobody's frontend, which costs a look-up a packet. Cost: two map operations when nothing changes.
    fn keep_clients(&mut self, on: bool) -> Result<(), DatapathError>;

    /// All entries of the kernel's map. At start these are the ones that an earlier process left, still at work.
    fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError>;

    /// Whether a socket listens on `port` of either seat's addresses, IPv4 and, where it is on, IPv6. Cost: one `sock_diag`
    /// look-up each.
    fn listening(&self, port: u16) -> Result<bool, DatapathError>;

    /// New connections are for this seat's Envoy from now on, wherever it listens; else for the other's. Cost: one map update.
    fn prefer(&mut self, seat: Seat) -> Result<(), DatapathError>;

    /// How many live connections of the proxy have these frontends as their local addresses; those without any are left out.
    ///
    /// Cost: a walk of the kernel's TCP table for each family and port among them, filtered in the kernel; ask only while
    /// something drains.
    fn connections(&self, frontends: &BTreeSet<SocketAddr>) -> Result<BTreeMap<SocketAddr, usize>, DatapathError>;

    /// Ends the proxy's connections of `frontend`, and says how many there were. Each client gets a RST: nobody would answer what
    /// it has to say, and where the frontend has no backends it would wait for minutes.
    ///
    /// # Errors
    /// Also where the kernel was built without `CONFIG_INET_DIAG_DESTROY`. Then they end when the proxy gives them up.
    fn cut(&self, frontend: SocketAddr) -> Result<usize, DatapathError>;

    /// The addresses that node ports answer on, sorted; changes with the node's devices.
    fn node_addresses(&self) -> watch::Receiver<Vec<IpAddr>>;

    /// The node's devices and what sits on them, for people. Cost: all devices.
    fn layout(&self) -> Layout;

    /// What was counted so far. Cost: one walk of the counters' map.
    fn counters(&self) -> Result<Counters, DatapathError>;
}

/// What the kernel refused, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The kernel is too old or was built without something.
    #[error("this kernel cannot do it: {0}")]
    Unsupported(String),
    /// The configuration asks for what cannot be.
    #[error("{0}")]
    Config(String),
    /// This process may not do what it has to.
    #[error("the loader lacks {lacking}, so it cannot {refused}")]
    Capabilities {
        /// What, and what for.
        lacking: String,
        /// What was refused.
        refused: Box<DatapathError>,
    },
    /// There is a loader already.
    #[error(
        "another loader is at work with the pins in {0}: stop it first, or run this one in a network namespace of its own"
    )]
    Taken(PathBuf),
    /// The bpffs is not there, or not ours to write.
    #[error("pin directory {path}: {message}")]
    PinDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The object with the programs was refused.
    #[error("load the eBPF programs: {0}")]
    Load(String),
    /// A program could not be attached.
    #[error("attach {program} to {target}: {message}")]
    Attach {
        /// The program's name.
        program: &'static str,
        /// The device or cgroup.
        target: String,
        /// The kernel's words.
        message: String,
    },
    /// A map could not be read or written.
    #[error("eBPF map {map}, {what}: {message}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// What was asked for, such as `set 10.0.0.1:80`.
        what: String,
        /// The kernel's words.
        message: String,
    },
    /// A netlink request (routes, rules, devices, nftables, sockets) was refused.
    #[error("netlink, {what}: {message}")]
    Netlink {
        /// What was asked for.
        what: String,
        /// The kernel's words.
        message: String,
    },
    /// Another system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The kernel's words.
        source: io::Error,
    },
}

impl DatapathError {
    pub(crate) fn netlink(what: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Netlink { what: what.into(), message: message.to_string() }
    }

    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The value of the metric's label `error`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported",
            Self::Config(_) => "config",
            Self::Capabilities { .. } => "capabilities",
            Self::Taken(_) => "taken",
            Self::PinDirectory { .. } => "pin_directory",
            Self::Load(_) => "load",
            Self::Attach { .. } => "attach",
            Self::Map { .. } => "map",
            Self::Netlink { .. } => "netlink",
            Self::Io { .. } => "io",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_its_shared_bits() {
        for (given, length, range) in [
            ("10.1.2.3", 8, "10.0.0.0/8"),
            ("10.1.2.3", 0, "0.0.0.0/0"),
            ("10.1.2.3", 32, "10.1.2.3/32"),
            ("10.1.2.3", 77, "10.1.2.3/32"),
            ("2001:db8:1:2::3", 48, "2001:db8:1::/48"),
            ("::1", 0, "::/0"),
            ("::1", 128, "::1/128"),
        ] {
            assert_eq!(SourceRange::new(given.parse().unwrap(), length).to_string(), range);
        }
    }
}
