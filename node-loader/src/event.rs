//! What a node tells those who watch it.

use std::sync::Arc;

/// Something that people may want to know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// The stream from the operator is open.
    OperatorConnected,
    /// The stream from the operator ended; the node goes on with what it has.
    OperatorLost {
        /// Why.
        reason: String,
    },
    /// Envoy opened its stream.
    EnvoyConnected,
    /// Envoy's stream ended.
    EnvoyLost,
    /// Envoy listens.
    ListenerReady {
        /// Resource name.
        name: Arc<str>,
        /// Proxy port.
        port: u16,
    },
    /// Envoy does not have the listener any more.
    ListenerGone {
        /// Resource name.
        name: Arc<str>,
    },
    /// All frontends of a redirect go to its listener.
    RedirectOn {
        /// `namespace/service:port`.
        name: Arc<str>,
        /// Who asked for it.
        owner: String,
        /// Proxy port of its listener.
        port: u16,
    },
    /// New connections are not taken any more.
    RedirectOff {
        /// `namespace/service:port`.
        name: Arc<str>,
    },
    /// A resource is in force.
    Applied {
        /// Its type.
        type_url: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// The operator's version.
        version: Arc<str>,
    },
    /// A resource is not, and why. The last good version stays in force.
    Rejected {
        /// Its type.
        type_url: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// Envoy's own words, or the kernel's.
        message: String,
    },
    /// A listener had to move, as somebody else has its port.
    PortConflict {
        /// Resource name.
        name: Arc<str>,
        /// The port that is taken.
        port: u16,
    },
}
