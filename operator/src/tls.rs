//! TLS connections for our servers: handshakes run beside each other, so that a slow or hostile one holds up nobody.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ServerConfig, crypto::ring::default_provider};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::transport::server::Connected;

use crate::{ca::Leaf, metrics};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at the same time. Further connections wait in the kernel's backlog.
const HANDSHAKES: usize = 256;
const READY: usize = 16;

/// Accepts connections that speak `protocol` (an ALPN name) for as long as the stream is held.
pub(crate) fn accept(
    listener: TcpListener,
    leaf: Arc<Leaf>,
    protocol: &[u8],
) -> Result<impl Stream<Item = io::Result<Connection>> + Send + 'static, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(leaf);
    config.alpn_protocols = vec![protocol.to_vec()];
    let (ready, connections) = mpsc::channel(READY);
    tokio::spawn(shake_hands(listener, TlsAcceptor::from(Arc::new(config)), ready));
    Ok(ReceiverStream::new(connections))
}

/// Ends when the server drops the other end of `ready`.
async fn shake_hands(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<io::Result<Connection>>) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            () = ready.closed() => return,
            Some(_ended) = handshakes.join_next() => {}
            accepted = listener.accept(), if handshakes.len() < HANDSHAKES => match accepted {
                Ok((stream, peer)) => {
                    handshakes.spawn(shake_hand(stream, peer, acceptor.clone(), ready.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely; they come back when connections end.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn shake_hand(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    // Failing only delays small messages.
    let _ = stream.set_nodelay(true);
    let shaken =
        timeout(HANDSHAKE, acceptor.accept(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match shaken {
        // A closed channel means that the server has ended.
        Ok(stream) => drop(ready.send(Ok(Connection(stream))).await),
        Err(error) => {
            ::metrics::counter!(metrics::HANDSHAKES_FAILED).increment(1);
            tracing::warn!(%peer, %error, "TLS handshake failed");
        }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
