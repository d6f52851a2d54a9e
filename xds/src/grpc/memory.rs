//! A connection that stays inside the process.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const PIPE_BYTES: usize = 1 << 20;
const BACKLOG: usize = 16;

/// A channel and the connections that it opens, for a server's `serve_with_incoming`. Every (re)connect is a new pipe.
pub fn in_memory() -> (Channel, impl Stream<Item = io::Result<DuplexStream>> + Send + 'static) {
    let (accept, incoming) = mpsc::channel(BACKLOG);
    let connector = tower::service_fn(move |_| {
        let accept = accept.clone();
        async move {
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            let gone = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the in-memory server is gone");
            accept.send(Ok(far)).await.map_err(gone)?;
            Ok::<_, io::Error>(TokioIo::new(near))
        }
    });
    // The address is never looked at: the connector above decides where a connection goes.
    let endpoint = super::endpoint(Endpoint::from_static("http://in-memory"));
    (endpoint.connect_with_connector_lazy(connector), ReceiverStream::new(incoming))
}
