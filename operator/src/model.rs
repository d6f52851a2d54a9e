//! An Ingress as HTTP sees it: hosts, paths, and who answers. Knows neither Kubernetes fields nor Envoy's.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::source::Name;

mod ingest;

pub use ingest::ingest;

/// What a listener serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpModel {
    /// Routes of each host, the more specific match first. No match is there twice.
    pub hosts: BTreeMap<Host, Vec<Route>>,
}

/// Which requests, by their `Host`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Every host that has no routes of its own.
    Any,
    /// This one.
    Exact(String),
    /// Exactly one label more than this: `*.example.org` is kept as `example.org`.
    Wildcard(String),
}

/// One path and who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which paths.
    pub matcher: PathMatch,
    /// Who answers.
    pub action: Action,
}

/// Which requests, by their path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// This path and everything below it, by whole elements. `/` is everything. No `/` at the end otherwise.
    Prefix(String),
}

impl PathMatch {
    /// The order in which routes are tried: exact before prefix, longer before shorter.
    fn precedence(&self) -> (u8, Reverse<usize>, &str) {
        match self {
            Self::Exact(path) => (0, Reverse(path.len()), path),
            Self::Prefix(path) => (1, Reverse(path.len()), path),
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
}

impl HttpModel {
    /// Every backend, once.
    #[must_use]
    pub fn backends(&self) -> std::collections::BTreeSet<&Backend> {
        let actions = self.hosts.values().flatten().map(|route| &route.action);
        let forwards = actions.filter_map(|action| match action {
            Action::Forward(backend) => Some(backend),
            Action::Unavailable => None,
        });
        forwards.collect()
    }
}
