//! How a server behaves towards one kind of client.

use crate::type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SCOPED_ROUTE, SECRET, VIRTUAL_HOST};

/// The habits of a client that the protocol leaves open.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The kind of client, as the log names it.
    pub client: &'static str,
    /// Types in the order in which changes are sent. Types that are not named come last, by URL. Removals go out in
    /// reverse, after every change: nothing is taken away while something sent before still refers to it.
    pub order: &'static [&'static str],
    /// Types whose removals go out just before their own changes, not at the end: a listener gives its address free
    /// before another one takes it.
    pub release_first: &'static [&'static str],
    /// Types for which a first request without names means everything.
    pub implicit_wildcard: &'static [&'static str],
    /// Types for which a subscription to an unknown name gets no answer until the name exists. After "removed" Envoy
    /// keeps a listener with a missing RouteConfiguration warming for ever, and at boot that blocks all listeners.
    pub hold_when_missing: &'static [&'static str],
    /// Whether to send again what [`View::follow`](crate::View::follow) names.
    pub follow: bool,
    /// Whether a change is sent even if it is what the client has: it changed and changed back before the stream looked, and
    /// who did that waits for a word about it. At worst something is said twice, when the client asked at that moment.
    pub repeat: bool,
}

impl Policy {
    /// For Envoy.
    pub const fn envoy() -> Self {
        Self {
            client: "envoy",
            order: &[CLUSTER, ENDPOINTS, SECRET, LISTENER, SCOPED_ROUTE, ROUTE, VIRTUAL_HOST],
            release_first: &[LISTENER],
            implicit_wildcard: &[CLUSTER, LISTENER, SCOPED_ROUTE],
            hold_when_missing: &[ROUTE],
            follow: true,
            repeat: true,
        }
    }

    /// For a node that takes intents: what is referred to goes before what refers to it. A new cluster whose assignment came
    /// after it would for a moment have no endpoints at Envoy.
    pub const fn intents() -> Self {
        Self {
            client: "node",
            order: &[SECRET, ENDPOINTS, CLUSTER, ROUTE, SCOPED_ROUTE, LISTENER],
            release_first: &[],
            implicit_wildcard: &[],
            hold_when_missing: &[],
            follow: false,
            repeat: false,
        }
    }

    /// The place of a type in the order.
    pub(crate) fn rank(&self, type_url: &str) -> usize {
        self.order.iter().position(|listed| *listed == type_url).unwrap_or(self.order.len())
    }
}
