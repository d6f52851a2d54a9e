//! What the core hears, and what it asks for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axoneme_xds::{Change, Key, Resource};

use crate::{
    datapath::{Entry, ServiceId, SourceRange},
    event::NodeEvent,
};

/// Names one update of the operator until it is settled.
pub type Ticket = u64;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The operator asks for a change.
    Intent {
        /// What about.
        key: Key,
        /// What to do.
        change: Change,
        /// To be settled.
        ticket: Ticket,
    },
    /// Envoy has a stream.
    EnvoyConnected,
    /// Envoy has no stream any more.
    EnvoyLost,
    /// Envoy took a version, or a removal.
    Accepted {
        /// What about.
        key: Key,
        /// As served; none for a removal.
        version: Option<Arc<str>>,
    },
    /// Envoy refused a version.
    Refused {
        /// What about.
        key: Key,
        /// As served.
        version: Option<Arc<str>>,
        /// Envoy's words.
        message: String,
    },
    /// A socket listens on a port that [`Op::WatchListen`] asked for.
    Listening {
        /// The port.
        port: u16,
    },
    /// What became of an [`Op::SetFrontend`].
    FrontendSet {
        /// The frontend.
        address: SocketAddr,
        /// The kernel's words.
        result: Result<(), String>,
    },
    /// What became of an [`Op::SetSources`].
    SourcesSet {
        /// The redirect.
        name: Arc<str>,
        /// The kernel's words.
        result: Result<(), String>,
    },
    /// A draining frontend has had its time, and still has connections.
    Expired {
        /// The frontend.
        address: SocketAddr,
    },
    /// A draining frontend has no connections any more.
    Drained {
        /// The frontend.
        address: SocketAddr,
    },
    /// The node's own addresses, which node ports answer on.
    NodeAddresses(Vec<IpAddr>),
    /// Envoy has not answered in a long time.
    Overdue {
        /// What about.
        key: Key,
        /// As served.
        version: Arc<str>,
    },
    /// A version may be what Envoy dies of: it is not to be offered for now.
    Hold {
        /// What about.
        key: Key,
        /// The operator's.
        version: Arc<str>,
    },
    /// It may be offered again.
    Release {
        /// What about.
        key: Key,
    },
    /// Envoy dies of a version.
    Crashed {
        /// What about.
        key: Key,
        /// The operator's.
        version: Arc<str>,
    },
    /// Envoy lives with a version.
    Proven {
        /// What about.
        key: Key,
        /// The operator's.
        version: Arc<str>,
    },
    /// Envoy has had no stream, and no listener of its own a socket, for longer than a restart takes.
    ProxyAway,
    /// Some time has passed since a listener found no free port: somebody else may have given one back.
    LookForPorts,
    /// The operator is connected and has said nothing for a while: all that belongs together has arrived.
    Quiet,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Offer a resource to Envoy.
    Serve(Resource),
    /// Do not offer it any more.
    Unserve(Key),
    /// Say [`Event::Listening`] when a socket listens on the port.
    WatchListen(u16),
    /// Put a frontend into the kernel's map and say [`Event::FrontendSet`].
    SetFrontend(SocketAddr, Entry),
    /// Put the ranges that may connect to a redirect's frontends into the kernel's map and say [`Event::SourcesSet`].
    SetSources(Arc<str>, ServiceId, BTreeSet<SourceRange>),
    /// Look for replies to upstream connections that speak from their client's address, or not any more.
    KeepClients(bool),
    /// Say [`Event::Drained`] when the frontend's connections have ended, and [`Event::Expired`] if that takes too long.
    Drain(SocketAddr),
    /// Take a frontend off the kernel's map.
    RemoveFrontend(SocketAddr),
    /// Answer the operator.
    Settle(Ticket, Result<(), String>),
    /// What the operator was told is not so any more: this version is in force, or nothing. It asks again, and is told.
    TakeBack(Key, Option<Arc<str>>),
    /// Keep on disk what is in force.
    Persist(Record),
    /// Take it off the disk.
    Forget(Key),
    /// Let people know.
    Tell(NodeEvent),
}

/// What is kept of a resource in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As the operator sent it.
    pub resource: Resource,
    /// A listener's proxy port, a redirect's number in the kernel's counters; 0 for none.
    pub number: u32,
}
