//! The log of a server's streams: each resource that is sent, and what the client says of it. Names and versions, never
//! contents: there are private keys among them.
//!
//! It has a target of its own at level `debug`: a filter `axoneme::xds=debug` shows what one edit sends, and how many bytes.

use prost::Message as _;
use tracing::{Level, debug, enabled};

use crate::{Outcome, Response};

/// The target of these lines.
const TARGET: &str = "axoneme::xds";

/// One stream, as its lines name it.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    /// The kind of client, of the policy.
    pub(super) to: &'static str,
    /// Which one.
    pub(super) subscriber: &'a str,
}

impl Log<'_> {
    /// A response goes out. Its bytes, without those of HTTP/2 around it, stand with each of its names.
    pub(super) fn sent(self, response: &Response) {
        if !enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        let Self { to, subscriber } = self;
        let (kind, bytes) = (short(&response.type_url), response.encoded_len());
        for resource in &response.resources {
            let (name, version) = (resource.name.as_str(), resource.version.as_str());
            debug!(target: TARGET, to, subscriber, kind, name, version, bytes, "sent");
        }
        for name in &response.removed_resources {
            debug!(target: TARGET, to, subscriber, kind, name = name.as_str(), bytes, "removed");
        }
    }

    /// The client answered. A removal that is accepted has no version.
    pub(super) fn answered(self, outcome: &Outcome) {
        let Self { to, subscriber } = self;
        match outcome {
            Outcome::Acked { type_url, name, version } => {
                let (kind, name, version) = (short(type_url), &**name, version.as_deref());
                debug!(target: TARGET, to, subscriber, kind, name, version, "accepted");
            }
            Outcome::Nacked { type_url, name, version, message } => {
                let (kind, name, version) = (short(type_url), &**name, version.as_deref());
                debug!(target: TARGET, to, subscriber, kind, name, version, message, "refused");
            }
        }
    }
}

/// The last part of a type URL: `Listener`.
fn short(type_url: &str) -> &str {
    type_url.rsplit('.').next().unwrap_or(type_url)
}
