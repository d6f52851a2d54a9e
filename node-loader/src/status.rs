//! The state of a node for people and for `axonctl status`: JSON over a Unix socket.

use std::{io, net::SocketAddr, path::Path};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::{layout::Layout, reconcile::Summary};

/// What `GET /status` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the loader.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// The way to the operator.
    pub operator: OperatorStatus,
    /// Resources, listeners, redirects.
    #[serde(flatten)]
    pub summary: Summary,
    /// Frontends that new connections do not use any more.
    #[serde(default)]
    pub draining: Vec<DrainingFrontend>,
    /// How many resources Envoy is not known to live with: new, on trial, held back or quarantined.
    #[serde(default)]
    pub suspects: usize,
    /// What the kernel counted, sorted; zeros are left out.
    pub counters: Vec<Counter>,
    /// What somebody should look at, though it works.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The node's devices, and which program of ours sits where.
    #[serde(default)]
    pub layout: Layout,
}

/// A frontend that new connections do not use any more, while old ones are at the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainingFrontend {
    /// What clients dialled.
    pub address: SocketAddr,
    /// The redirect that it was of, if that is known.
    pub redirect: Option<String>,
    /// How many connections were left when they were counted last.
    pub connections: usize,
    /// How long these may stay before Envoy ends them.
    pub seconds_left: u64,
}

/// The way to the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorStatus {
    /// Whether the stream is open.
    pub connected: bool,
    /// Why it was lost the last time.
    pub last_error: Option<String>,
}

/// One running sum of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// `namespace/service:port`.
    pub service: String,
    /// What became of the connections.
    pub reason: String,
    /// How many.
    pub connections: u64,
}

impl Status {
    /// What the node lacks to be ready: Envoy, and the operator unless there is a state from before.
    #[must_use]
    pub fn waits_for(&self) -> Vec<&'static str> {
        let operator = !self.summary.synced && self.summary.resources == 0;
        [(!self.summary.envoy_connected, "Envoy"), (operator, "the operator")]
            .into_iter()
            .filter_map(|(missing, what)| missing.then_some(what))
            .collect()
    }
}

/// Asks the node behind the socket.
///
/// # Errors
/// The system's when nobody answers there, `InvalidData` when the answer is none.
pub async fn fetch(socket: &Path) -> io::Result<Status> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get("/status").header(HOST, "node").body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    tokio::pin!(exchange);
    tokio::select! {
        status = &mut exchange => status,
        ended = connection => match ended {
            // The server closed after its answer.
            Ok(()) => exchange.await,
            Err(error) => Err(io::Error::other(error)),
        },
    }
}
