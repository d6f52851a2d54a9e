//! Clients in a pod: keep-alive and new connections, with TLS and without, who never ask twice.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// The host that is asked for, unless told otherwise.
pub(crate) const HOST_NAME: &str = "web.scale";

/// How long an answer may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests of a client: there is a limit to what two cores are for.
const PAUSE: Duration = Duration::from_millis(10);
/// What is asked for in turn.
const PATHS: [&str; 3] = ["/red/1", "/green/2", "/"];

/// How a client asks.
#[derive(Clone)]
pub(crate) struct Habit {
    pub(crate) to: SocketAddr,
    /// With whom it speaks TLS.
    pub(crate) tls: Option<TlsConnector>,
    /// How often it asks on one connection.
    pub(crate) requests: usize,
}

/// What clients went through.
#[derive(Default)]
pub(crate) struct Tally {
    /// Good answers.
    pub(crate) good: AtomicUsize,
    /// Connections that were opened.
    pub(crate) connections: AtomicUsize,
    /// The number of the edit at hand.
    pub(crate) edit: AtomicUsize,
}

/// Asks until `stop`, tallies what was good, and tells what failed.
pub(crate) async fn ask_until(
    habit: Habit,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    failures: UnboundedSender<String>,
) {
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = ask_on_one_connection(&habit, &tally, &stop).await {
            let edit = tally.edit.load(Ordering::Relaxed);
            let tls = if habit.tls.is_some() { " with TLS" } else { "" };
            let what = format!("at edit {edit}, {}{tls}, {} a connection: {error:#}", habit.to, habit.requests);
            failures.send(what).unwrap();
        }
    }
}

async fn ask_on_one_connection(habit: &Habit, tally: &Tally, stop: &AtomicBool) -> Result<()> {
    let mut connection = timeout(PATIENCE, connect(habit.to, habit.tls.as_ref())).await.context("connect")??;
    tally.connections.fetch_add(1, Ordering::Relaxed);
    for asked in 0..habit.requests {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = PATHS[(asked + tally.good.load(Ordering::Relaxed)) % PATHS.len()];
        let response = timeout(PATIENCE, ask(&mut connection, path)).await.context("no answer")??;
        let (head, body) = response.into_parts();
        if head.status != 200 {
            bail!("{path}: {} {:?} {}", head.status, head.headers, String::from_utf8_lossy(&body));
        }
        tally.good.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Connects, with TLS if wanted.
pub(crate) async fn connect(to: SocketAddr, tls: Option<&TlsConnector>) -> Result<SendRequest<Empty<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(open(to, HOST_NAME, tls).await?)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The connection below, with TLS for this host if wanted.
pub(crate) async fn open(to: SocketAddr, host: &str, tls: Option<&TlsConnector>) -> Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(to).await.context("connect")?;
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls.connect(ServerName::try_from(host.to_owned())?, stream).await.context("TLS")?)),
    }
}

/// The certificate that a server shows now for this host.
pub(crate) async fn certificate(to: SocketAddr, host: &str, tls: &TlsConnector) -> Result<Vec<u8>> {
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, TcpStream::connect(to).await?).await?;
    let chain = stream.get_ref().1.peer_certificates().context("no certificate")?;
    Ok(chain.first().context("no certificate")?.to_vec())
}

/// Asks, and reads the whole answer.
pub(crate) async fn ask(connection: &mut SendRequest<Empty<Bytes>>, path: &str) -> Result<Response<Bytes>> {
    connection.ready().await.context("the connection was closed between two requests")?;
    let request = Request::get(path).header(HOST, HOST_NAME).body(Empty::new())?;
    let (head, body) = connection.send_request(request).await.context("ask")?.into_parts();
    Ok(Response::from_parts(head, body.collect().await.context("read the answer")?.to_bytes()))
}
