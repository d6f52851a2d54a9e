//! An Ingress as HTTP sees it: hosts, paths, certificates, and who answers. Knows neither Kubernetes fields nor Envoy's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::source::Name;

mod certificates;
mod defaults;
mod host;
mod ingest;
pub mod options;
mod passthrough;
mod path;

pub use certificates::named_secrets;
pub use defaults::{HostNetwork, IngressDefaults, RedirectCode};
pub use host::Host;
pub use ingest::{field_of, ingest};
pub use passthrough::Target;

/// What a listener serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpModel {
    /// What each host answers.
    pub hosts: BTreeMap<Host, VirtualHost>,
    /// The Secret that proves who we are to clients that ask for a name. Only those that can be used. Empty: no TLS.
    pub certificates: BTreeMap<Host, Name>,
    /// Names whose connections are passed on as they are, none of which has a certificate here. `None`: they are closed at once.
    pub passthrough: BTreeMap<Host, Option<Target>>,
    /// How clients get here.
    pub exposure: options::Exposure,
    /// Limits of each request.
    pub limits: Limits,
    /// How requests are read.
    pub connection: Connection,
    /// Who may connect. `None`: everybody.
    pub sources: Option<BTreeSet<options::Range>>,
}

/// What one host answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualHost {
    /// The more specific match first. No match is there twice.
    pub routes: Vec<Route>,
    /// Plain requests are sent to https.
    pub https_only: Option<RedirectCode>,
}

/// One path and who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which paths.
    pub matcher: PathMatch,
    /// Who answers.
    pub action: Action,
    /// Not written for this host: the default backend, or the routes of what covers a host that only `tls` names. It stands back
    /// behind what other Ingresses at the same address write.
    pub implied: bool,
}

/// Which requests, by their path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// Paths that this expression matches as a whole.
    Regex(String),
    /// This path and everything below it, by whole elements. `/` is everything. No `/` at the end otherwise.
    Prefix(String),
}

impl PathMatch {
    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Exact(path) => format!("path {path}"),
            Self::Regex(regex) => format!("paths like {regex}"),
            Self::Prefix(path) => format!("paths from {path}"),
        }
    }

    /// The order in which routes are tried: exact, then expressions, then prefixes; each longer before shorter.
    fn precedence(&self) -> (u8, Reverse<usize>, &str) {
        match self {
            Self::Exact(path) => (0, Reverse(path.len()), path),
            Self::Regex(regex) => (1, Reverse(regex.len()), regex),
            Self::Prefix(path) => (2, Reverse(path.len()), path),
        }
    }
}

impl Ord for PathMatch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.precedence().cmp(&other.precedence())
    }
}

impl PartialOrd for PathMatch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// One of the endpoints of a Service's port.
    Forward(Backend),
    /// Nobody: what the path names is not there. 503, so that clients try again.
    Unavailable,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The Service.
    pub service: Name,
    /// Its port as written, by name or by number.
    pub port: String,
    /// What it speaks.
    pub speaks: Speaks,
    /// A client stays with its endpoint.
    pub keeps_clients: bool,
}

/// What a backend understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaks {
    /// Nobody said: gRPC is sent as HTTP/2, which it cannot do without, everything else as HTTP/1.1.
    Unknown,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
}

/// Limits of each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take. Zero: as long as it wants.
    pub request: Duration,
    /// How long it may be silent in both directions. Zero: as long as it wants.
    pub idle: Duration,
}

/// How requests are read. A change of it closes the connections of this Ingress, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// How long a request may be silent before it matches a route. Zero: as long as it wants.
    pub idle: Duration,
    /// Clients are behind a proxy that says their address in a PROXY protocol header; without one nobody may connect.
    pub proxy_protocol: bool,
    /// The peer is taken for a proxy, and `x-forwarded-for` as it comes.
    pub forwarded_as_is: bool,
    /// How many proxies in front are believed.
    pub trusted_hops: u32,
    /// What becomes of `%2F` and `%5C` in paths.
    pub escaped_slashes: options::EscapedSlashes,
    /// What becomes of header names with an underscore.
    pub underscores: options::Underscores,
}

impl HttpModel {
    /// Every backend, once.
    #[must_use]
    pub fn backends(&self) -> BTreeSet<&Backend> {
        let actions = self.hosts.values().flat_map(|host| &host.routes).map(|route| &route.action);
        let forwards = actions.filter_map(|action| match action {
            Action::Forward(backend) => Some(backend),
            Action::Unavailable => None,
        });
        forwards.collect()
    }

    /// Every target of passthrough, once.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<&Target> {
        self.passthrough.values().flatten().collect()
    }

    /// Whether somebody in front of us is believed to say by which protocol a client came.
    #[must_use]
    pub fn is_behind_proxy(&self) -> bool {
        self.connection.trusted_hops > 0 || self.connection.forwarded_as_is
    }

    /// Every Secret whose certificate is shown, once.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&Name> {
        self.certificates.values().collect()
    }
}
