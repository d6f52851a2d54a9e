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

use crate::{listener::seated, reconcile::Event, references::assignment, seat::Seat};

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
    /// Where it sits.
    pub seat: Seat,
    /// Whether it is the one that was there before.
    pub same: bool,
    /// Whether another one is at work on the other seat.
    pub beside: bool,
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

/// How many streams are open.
#[derive(Debug, Default)]
struct Streams(BTreeMap<Seat, usize>);

impl Streams {
    fn all(&self) -> usize {
        self.0.values().sum()
    }

    fn at(&self, seat: Seat) -> usize {
        self.0.get(&seat).copied().unwrap_or(0)
    }

    /// Counts one, and tells the first of all.
    fn opened(&mut self, seat: Seat) -> Option<Heard> {
        *self.0.entry(seat).or_default() += 1;
        (self.all() == 1).then_some(Heard::Event(Event::EnvoyConnected))
    }

    /// Counts one less, and tells who is left if that was the last one of its seat.
    fn closed(&mut self, seat: Seat) -> Option<Heard> {
        let open = self.0.entry(seat).or_default();
        *open = open.saturating_sub(1);
        if self.all() == 0 {
            return Some(Heard::Event(Event::EnvoyLost));
        }
        (self.at(seat) == 0).then_some(Heard::Remains(seat.other()))
    }
}

impl Host for Ears {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let peer = caller.extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let process = peer.and_then(|peer| peer.pid()).unwrap_or_default();
        let same = self.process.swap(process, Ordering::Relaxed) == process && process != 0;
        let seat = Seat::of(&caller.node.id);
        let beside = self.streams.lock().at(seat.other()) > 0;
        let (go, gone) = oneshot::channel();
        let version = caller.node.user_agent_build_version.and_then(|build| build.version);
        let opening = Opening { seat, same: same || caller.holds, beside, version, go };
        let _ = self.events.send(Heard::Opening(opening));
        // Dropped only while the node shuts down.
        let _ = gone.await;
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: StreamEvent) {
        let heard = match event {
            StreamEvent::Opened { subscriber, .. } => self.streams.lock().opened(Seat::of(&subscriber)),
            StreamEvent::Closed { subscriber, .. } => self.streams.lock().closed(Seat::of(&subscriber)),
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
        assert!(matches!(streams.opened(Seat::First), Some(Heard::Event(Event::EnvoyConnected))));
        assert!(streams.opened(Seat::Second).is_none());
        // It comes back before its old stream is known to be dead.
        assert!(streams.opened(Seat::First).is_none());
        assert!(streams.closed(Seat::First).is_none());
        assert!(matches!(streams.closed(Seat::First), Some(Heard::Remains(Seat::Second))));
        assert!(matches!(streams.closed(Seat::Second), Some(Heard::Event(Event::EnvoyLost))));
    }
}
