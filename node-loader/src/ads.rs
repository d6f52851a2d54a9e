//! Envoy's side: the xDS server on a Unix socket.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use axoneme_xds::{
    Key, Outcome, Policy, Resource, Store, View,
    grpc::{AdsServer, Caller, Event as StreamEvent, Host, Hub, Views, server_builder},
    proto::SemanticVersion,
    type_urls::{CLUSTER, LISTENER},
};
use parking_lot::Mutex;
use tokio::{
    net::UnixListener,
    sync::{mpsc::UnboundedSender, oneshot},
};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::server::UdsConnectInfo};

use crate::{
    listener::seated,
    reconcile::Event,
    references::assignment,
    seat::{Seat, started_at},
};

/// What Envoy is offered.
#[derive(Debug, Default)]
pub struct Offer(pub Store);

impl Views for Offer {
    fn view<'a>(&'a self, node_id: &'a str) -> Box<dyn View + 'a> {
        Box::new(Seated { offer: self, seat: Seat::of(node_id) })
    }
}

/// What the Envoy of one seat is offered: the same as the other's, at addresses of its own.
struct Seated<'a> {
    offer: &'a Offer,
    seat: Seat,
}

impl View for Seated<'_> {
    /// The version is that of the first seat's, so that nobody needs to know who answered.
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        let resource = self.offer.0.get(type_url, name)?;
        if type_url == LISTENER {
            let body = seated(&resource.body, self.seat);
            return Some(Resource { body, ..resource });
        }
        Some(resource)
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        self.offer.0.names(type_url)
    }

    /// An assignment is not always called like its cluster.
    fn follow(&self, type_url: &str, name: &str) -> Option<Key> {
        assignment(&self.offer.0.get(type_url, name).filter(|_| type_url == CLUSTER)?.body)
    }
}

/// What is heard on the socket.
#[derive(Debug)]
pub enum Heard {
    /// Something that the core wants to know.
    Event(Event),
    /// Envoy opens a stream. It is told nothing before `go`.
    Opening(Opening),
    /// The Envoy of one seat has gone, and this one is left.
    Remains(Seat),
}

/// An Envoy that comes.
#[derive(Debug)]
pub struct Opening {
    /// Of two Envoys, the seat of the one that started last.
    pub newest: Option<Seat>,
    /// Whether it is the one that was there before.
    pub same: bool,
    /// Envoy's version, if it says one.
    pub version: Option<SemanticVersion>,
    /// To be sent or dropped.
    pub go: oneshot::Sender<()>,
}

/// Whoever may open the socket may look; what it says becomes events.
struct Ears {
    events: UnboundedSender<Heard>,
    /// The process of the last stream, as far as it can be seen from here. It cannot from another container.
    process: AtomicI32,
    /// By seat. More than one for a moment, when Envoy comes back before its old stream is known to be dead.
    streams: Mutex<Streams>,
}

/// The streams that are open: of each seat how many, and when the Envoy of the last one was started.
#[derive(Debug, Default)]
struct Streams(BTreeMap<Seat, (usize, Option<Duration>)>);

impl Streams {
    fn all(&self) -> usize {
        self.0.values().map(|(open, _)| open).sum()
    }

    /// Of the Envoy that comes and one at work on the other seat, where the newer one sits. `None` if there is no other. Which of
    /// the two comes first says nothing: when a loader starts, both come back.
    fn newest(&self, node_id: &str) -> Option<Seat> {
        let seat = Seat::of(node_id);
        let (_, other) = self.0.get(&seat.other()).filter(|(open, _)| *open > 0)?;
        Some(if started_at(node_id) >= *other { seat } else { seat.other() })
    }

    /// Counts one, and tells the first of all.
    fn opened(&mut self, node_id: &str) -> Option<Heard> {
        let (open, started) = self.0.entry(Seat::of(node_id)).or_default();
        (*open, *started) = (*open + 1, started_at(node_id));
        (self.all() == 1).then_some(Heard::Event(Event::EnvoyConnected))
    }

    /// Counts one less, and tells who is left if that was the last one of its seat.
    fn closed(&mut self, node_id: &str) -> Option<Heard> {
        let seat = Seat::of(node_id);
        let (open, _) = self.0.entry(seat).or_default();
        *open = open.saturating_sub(1);
        let last = *open == 0;
        if self.all() == 0 {
            return Some(Heard::Event(Event::EnvoyLost));
        }
        last.then_some(Heard::Remains(seat.other()))
    }
}

impl Host for Ears {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let peer = caller.extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let process = peer.and_then(|peer| peer.pid()).unwrap_or_default();
        let same = self.process.swap(process, Ordering::Relaxed) == process && process != 0;
        let newest = self.streams.lock().newest(&caller.node.id);
        let (go, gone) = oneshot::channel();
        let version = caller.node.user_agent_build_version.and_then(|build| build.version);
        let opening = Opening { newest, same: same || caller.holds, version, go };
        let _ = self.events.send(Heard::Opening(opening));
        // Dropped only while the node shuts down.
        let _ = gone.await;
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: StreamEvent) {
        let heard = match event {
            StreamEvent::Opened { subscriber, .. } => self.streams.lock().opened(&subscriber),
            StreamEvent::Closed { subscriber, .. } => self.streams.lock().closed(&subscriber),
            StreamEvent::Outcome { outcome: Outcome::Acked { type_url, name, version }, .. } => {
                Some(Heard::Event(Event::Accepted { key: (type_url, name), version }))
            }
            StreamEvent::Outcome { outcome: Outcome::Nacked { type_url, name, version, message }, .. } => {
                Some(Heard::Event(Event::Refused { key: (type_url, name), version, message }))
            }
        };
        if let Some(heard) = heard {
            // Nobody listens only while the node shuts down.
            let _ = self.events.send(heard);
        }
    }
}

/// Takes the socket's place, also that of an earlier run. For its owner alone: secrets are served here.
///
/// # Errors
/// The system's, when the folder is not ours to write.
pub fn bind(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until shutdown.
///
/// # Errors
/// What the transport says when it cannot go on.
pub async fn serve(
    listener: UnixListener,
    hub: Hub<Offer>,
    events: UnboundedSender<Heard>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let host = Ears { events, process: AtomicI32::new(0), streams: Mutex::default() };
    let service = AdsServer::new(hub.clone(), Policy::envoy(), Arc::new(host));
    let stop = async move {
        shutdown.cancelled().await;
        hub.close();
    };
    let incoming = UnixListenerStream::new(listener);
    server_builder().add_service(service).serve_with_incoming_shutdown(incoming, stop).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_leaves_the_other_and_only_the_last_one_is_missed() {
        let mut streams = Streams::default();
        assert!(matches!(streams.opened("node"), Some(Heard::Event(Event::EnvoyConnected))));
        assert!(streams.opened("node/2").is_none());
        // It comes back before its old stream is known to be dead.
        assert!(streams.opened("node").is_none());
        assert!(streams.closed("node").is_none());
        assert!(matches!(streams.closed("node"), Some(Heard::Remains(Seat::Second))));
        assert!(matches!(streams.closed("node/2"), Some(Heard::Event(Event::EnvoyLost))));
    }

    #[test]
    fn of_two_envoys_the_one_that_started_last_is_the_newest_whoever_comes_first() {
        for [first, second] in [["node@10", "node/2@9"], ["node/2@9", "node@10"]] {
            let mut streams = Streams::default();
            assert_eq!(streams.newest(first), None);
            streams.opened(first);
            assert_eq!(streams.newest(second), Some(Seat::First));
            // It dies, and the next one sits there.
            streams.closed(first);
            assert_eq!(streams.newest(second), None);
        }
    }
}
