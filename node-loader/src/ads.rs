//! Envoy's side: the xDS server on a Unix socket.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use axoneme_xds::{
    Key, Outcome, Policy, Resource, Store, View,
    grpc::{AdsServer, Caller, Event as StreamEvent, Host, Hub, Views, server_builder},
    proto::SemanticVersion,
    type_urls::CLUSTER,
};
use tokio::{
    net::UnixListener,
    sync::{mpsc::UnboundedSender, oneshot},
};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::server::UdsConnectInfo};

use crate::{reconcile::Event, references::assignment};

/// What Envoy is offered.
#[derive(Debug, Default)]
pub struct Offer(pub Store);

impl Views for Offer {
    fn view<'a>(&'a self, _: &'a str) -> Box<dyn View + 'a> {
        Box::new(self)
    }
}

impl View for Offer {
    fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
        self.0.get(type_url, name)
    }

    fn names(&self, type_url: &str) -> Vec<Arc<str>> {
        self.0.names(type_url)
    }

    /// An assignment is not always called like its cluster.
    fn follow(&self, type_url: &str, name: &str) -> Option<Key> {
        assignment(&self.0.get(type_url, name).filter(|_| type_url == CLUSTER)?.body)
    }
}

/// What is heard on the socket.
#[derive(Debug)]
pub enum Heard {
    /// Something that the core wants to know.
    Event(Event),
    /// Envoy opens a stream. It is told nothing before `go`.
    Opening {
        /// Whether it is the one that was there before.
        same: bool,
        /// Envoy's version, if it says one.
        version: Option<SemanticVersion>,
        /// To be sent or dropped.
        go: oneshot::Sender<()>,
    },
}

/// Whoever may open the socket may look; what it says becomes events.
struct Ears {
    events: UnboundedSender<Heard>,
    /// The process of the last stream, as far as it can be seen from here. It cannot from another container.
    process: AtomicI32,
    /// More than one for a moment, when Envoy comes back before its old stream is known to be dead.
    streams: AtomicUsize,
}

impl Host for Ears {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let peer = caller.extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let process = peer.and_then(|peer| peer.pid()).unwrap_or_default();
        let same = self.process.swap(process, Ordering::Relaxed) == process && process != 0;
        let (go, gone) = oneshot::channel();
        let version = caller.node.user_agent_build_version.and_then(|build| build.version);
        let _ = self.events.send(Heard::Opening { same: same || caller.holds, version, go });
        // Dropped only while the node shuts down.
        let _ = gone.await;
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: StreamEvent) {
        let event = match event {
            StreamEvent::Opened { .. } if self.streams.fetch_add(1, Ordering::Relaxed) == 0 => Event::EnvoyConnected,
            StreamEvent::Closed { .. } if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 => Event::EnvoyLost,
            StreamEvent::Opened { .. } | StreamEvent::Closed { .. } => return,
            StreamEvent::Outcome { outcome, .. } => match outcome {
                Outcome::Acked { type_url, name, version } => Event::Accepted { key: (type_url, name), version },
                Outcome::Nacked { type_url, name, version, message } => {
                    Event::Refused { key: (type_url, name), version, message }
                }
            },
        };
        // Nobody listens only while the node shuts down.
        let _ = self.events.send(Heard::Event(event));
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
    let host = Ears { events, process: AtomicI32::new(0), streams: AtomicUsize::new(0) };
    let service = AdsServer::new(hub.clone(), Policy::envoy(), Arc::new(host));
    let stop = async move {
        shutdown.cancelled().await;
        hub.close();
    };
    let incoming = UnixListenerStream::new(listener);
    server_builder().add_service(service).serve_with_incoming_shutdown(incoming, stop).await
}
