//! From streams to nodes: a node that reconnects has two streams for a moment, and the older one must not speak for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axoneme_xds::{Outcome, grpc::Event};

/// What an event means for the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its first stream opened.
    Connected(Arc<str>),
    /// It said what became of a resource.
    Answer(Arc<str>, Outcome),
    /// Its last stream ended.
    Gone(Arc<str>),
}

/// The open streams of every node. Streams are numbered in the order in which they opened.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<Arc<str>, BTreeSet<u64>>);

impl Streams {
    pub(super) fn take(&mut self, event: Event) -> Option<Told> {
        match event {
            Event::Opened { stream, subscriber } => {
                tracing::info!(node = %subscriber, stream, "node connected");
                let open = self.0.entry(Arc::clone(&subscriber)).or_default();
                open.insert(stream);
                (open.len() == 1).then_some(Told::Connected(subscriber))
            }
            Event::Outcome { stream, subscriber, outcome } => {
                let newest = self.0.get(&subscriber)?.last();
                (newest == Some(&stream)).then_some(Told::Answer(subscriber, outcome))
            }
            Event::Closed { stream, subscriber } => {
                tracing::info!(node = %subscriber, stream, "node's stream ended");
                let open = self.0.get_mut(&subscriber)?;
                open.remove(&stream);
                if !open.is_empty() {
                    return None;
                }
                self.0.remove(&subscriber);
                Some(Told::Gone(subscriber))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(stream: u64) -> Event {
        Event::Opened { stream, subscriber: "n".into() }
    }

    fn closed(stream: u64) -> Event {
        Event::Closed { stream, subscriber: "n".into() }
    }

    fn acked(stream: u64) -> Event {
        let outcome = Outcome::Acked { type_url: "t".into(), name: "r".into(), version: None };
        Event::Outcome { stream, subscriber: "n".into(), outcome }
    }

    #[test]
    fn a_reconnect_before_the_old_stream_ended_is_no_absence() {
        let mut streams = Streams::default();
        assert_eq!(streams.take(opened(1)), Some(Told::Connected("n".into())));
        assert_eq!(streams.take(opened(2)), None);
        assert_eq!(streams.take(acked(1)), None, "an outdated stream");
        assert!(matches!(streams.take(acked(2)), Some(Told::Answer(..))));
        assert_eq!(streams.take(closed(1)), None);
        assert_eq!(streams.take(closed(2)), Some(Told::Gone("n".into())));
        assert_eq!(streams.take(acked(2)), None);
    }
}
