//! The intents server: delta xDS to every node, each seeing its own view.
//!
//! Streams look straight into the engine's intents ([`Hub`]); nothing is copied per node. Who may open a stream, and what
//! streams tell back, is [`Nodes`].

use std::{future::Future, sync::Arc, time::Duration};

use axoneme_api::names::HOSTKEY_FEATURE;
use axoneme_xds::{
    Policy,
    grpc::{AdsServer, Caller, Event, Host, Hub, in_memory, server_builder},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Server, server::Router},
};

use crate::{
    Engine,
    auth::{Refusal, Reviewer},
    ca::Leaf,
    tls,
};

/// A node has to prove itself anew after so long: tokens live for an hour, and a stream must not outlive them for ever. A
/// reconnect carries what the node holds, so it costs little.
const CONNECTION_AGE: Duration = Duration::from_secs(3600);
/// Streams do not end by themselves, so this is merely when they are cut.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);

/// Decides who is which node.
#[derive(Debug)]
pub enum Admission {
    /// By ServiceAccount token.
    Tokens(Box<Reviewer>),
    /// Everybody is this node: for a connection that does not leave the process.
    Only(Arc<str>),
}

/// What is heard of nodes.
#[derive(Debug)]
pub enum Heard {
    /// A node opens a stream. It is told nothing before `go`, so that the first it hears is meant for a node like it.
    Opening {
        /// The node.
        node: Arc<str>,
        /// Whether its Envoy has the module that finds a host's routes by hash.
        has_module: bool,
        /// To be sent or dropped.
        go: oneshot::Sender<()>,
    },
    /// Something happened on a stream.
    Stream(Event),
}

/// The server's side of all streams: admits nodes, and passes on what they say.
#[derive(Debug)]
pub struct Nodes {
    admission: Admission,
    events: mpsc::UnboundedSender<Heard>,
}

impl Nodes {
    /// What happens on streams goes to `events`. The channel is unbounded because streams must not wait for the engine; it
    /// holds at most one answer per resource that a node was sent.
    #[must_use]
    pub fn new(admission: Admission, events: mpsc::UnboundedSender<Heard>) -> Self {
        Self { admission, events }
    }
}

impl Host for Nodes {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, Status> {
        let node = match &self.admission {
            Admission::Only(node) => Arc::clone(node),
            Admission::Tokens(reviewer) => {
                let header = caller.metadata.get("authorization").and_then(|value| value.to_str().ok());
                reviewer.authorize(header, &caller.node.id).await.map_err(status)?
            }
        };
        let has_module = caller.node.client_features.iter().any(|feature| feature == HOSTKEY_FEATURE);
        let (go, gone) = oneshot::channel();
        let _ = self.events.send(Heard::Opening { node: Arc::clone(&node), has_module, go });
        // Dropped only while the process is on its way out.
        let _ = gone.await;
        Ok(node)
    }

    fn observe(&self, event: Event) {
        // Without a listener the process is on its way out.
        let _ = self.events.send(Heard::Stream(event));
    }
}

fn status(refusal: Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::NoToken | Refusal::Invalid(_) => Status::unauthenticated(text),
        Refusal::Audience | Refusal::Account(_) | Refusal::Unbound | Refusal::OtherNode { .. } => {
            Status::permission_denied(text)
        }
        Refusal::Unavailable => Status::unavailable(text),
    }
}

/// Why the server stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// TLS cannot be set up.
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// gRPC gave up.
    #[error("serving intents: {0}")]
    Grpc(#[from] tonic::transport::Error),
}

/// Serves nodes over TLS until `shutdown`.
///
/// # Errors
/// [`ServeError`] when TLS cannot be set up or the server breaks.
pub async fn serve(
    listener: TcpListener,
    leaf: Arc<Leaf>,
    hub: Hub<Engine>,
    nodes: Nodes,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    serve_aged(listener, leaf, hub, nodes, shutdown, [CONNECTION_AGE, CONNECTION_GRACE]).await
}

async fn serve_aged(
    listener: TcpListener,
    leaf: Arc<Leaf>,
    hub: Hub<Engine>,
    nodes: Nodes,
    shutdown: CancellationToken,
    [age, grace]: [Duration; 2],
) -> Result<(), ServeError> {
    let incoming = tls::accept(listener, leaf, b"h2")?;
    let server = server_builder().max_connection_age(age).max_connection_age_grace(grace);
    router(server, &hub, nodes).serve_with_incoming_shutdown(incoming, closing(hub, shutdown)).await?;
    Ok(())
}

/// A server for one node of the same process: no TLS, no token. The future is the server; the channel reaches it.
pub fn serve_local(
    hub: Hub<Engine>,
    node: &str,
    events: mpsc::UnboundedSender<Heard>,
    shutdown: CancellationToken,
) -> (Channel, impl Future<Output = Result<(), ServeError>> + Send + 'static) {
    let (channel, incoming) = in_memory();
    let router = router(server_builder(), &hub, Nodes::new(Admission::Only(node.into()), events));
    let server = async move {
        router.serve_with_incoming_shutdown(incoming, closing(hub, shutdown)).await?;
        Ok(())
    };
    (channel, server)
}

fn router(mut server: Server, hub: &Hub<Engine>, nodes: Nodes) -> Router {
    server.add_service(AdsServer::new(hub.clone(), Policy::intents(), Arc::new(nodes)))
}

/// Open streams would keep the server from ending: they are ended with it, and nodes go to another replica.
async fn closing(hub: Hub<Engine>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    hub.close();
}

#[cfg(test)]
mod tests;
