//! Clients of one connection each, in HTTP/1.1, HTTP/2 and over a websocket. It has to last: whoever is asked to go, by a
//! `connection: close`, a GOAWAY or an end of the connection, has failed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{CONNECTION, HOST, UPGRADE},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::load::{PATIENCE, open};

/// Between two requests of a client: there is a limit to what two cores are for.
const PAUSE: Duration = Duration::from_millis(25);

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
    Websocket,
}

/// Whom a client asks.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) to: SocketAddr,
    pub(crate) host: &'static str,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) speaks: Speaks,
}

impl Kept {
    /// Asks until `stop`, and tells how often.
    pub(crate) async fn ask_until(self, stop: Arc<AtomicBool>) -> Result<usize> {
        let with = if self.tls.is_some() { " with TLS" } else { "" };
        let who = format!("{:?}{with} for {}", self.speaks, self.host);
        let asked = if self.speaks == Speaks::Websocket { self.talk(&stop).await } else { self.ask(&stop).await };
        asked.context(who)
    }

    async fn ask(&self, stop: &AtomicBool) -> Result<usize> {
        let stream = TokioIo::new(open(self.to, self.host, self.tls.as_ref()).await?);
        let mut client = match self.speaks {
            Speaks::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                Client { sender: Sender::Http2(sender), connection: tokio::spawn(connection) }
            }
            _ => {
                let (sender, connection) = http1::handshake(stream).await?;
                Client { sender: Sender::Http1(sender), connection: tokio::spawn(connection) }
            }
        };
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = timeout(PATIENCE, client.ask(self.host)).await.context("no answer")?;
            answer.with_context(|| format!("after {asked} answers"))?;
            asked += 1;
            sleep(PAUSE).await;
            ensure!(!client.connection.is_finished(), "the connection was ended after {asked} answers");
        }
        Ok(asked)
    }

    /// What is sent comes back.
    async fn talk(&self, stop: &AtomicBool) -> Result<usize> {
        let stream = TokioIo::new(open(self.to, self.host, self.tls.as_ref()).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::get("/").header(HOST, self.host).header(CONNECTION, "upgrade");
        let request = request.header(UPGRADE, "websocket").body(Empty::<Bytes>::new())?;
        let answer = timeout(PATIENCE, sender.send_request(request)).await.context("no answer")??;
        ensure!(answer.status() == StatusCode::SWITCHING_PROTOCOLS, "{answer:?}");
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await?);
        let mut said = 0;
        while !stop.load(Ordering::Relaxed) {
            let words = format!("{said:016}");
            let exchange = async {
                stream.write_all(words.as_bytes()).await?;
                let mut back = [0; 16];
                stream.read_exact(&mut back).await.map(|_| back)
            };
            let back = timeout(PATIENCE, exchange).await.context("no answer")?;
            let back = back.with_context(|| format!("after {said} answers"))?;
            ensure!(back == words.as_bytes(), "{back:?} came back for {words}");
            said += 1;
            sleep(PAUSE).await;
        }
        Ok(said)
    }
}

struct Client {
    sender: Sender,
    connection: JoinHandle<hyper::Result<()>>,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn ask(&mut self, host: &str) -> Result<()> {
        let (head, body) = self.send(host).await?.into_parts();
        ensure!(head.status == StatusCode::OK, "{head:?}");
        ensure!(!head.headers.contains_key(CONNECTION), "{head:?}");
        body.collect().await.context("read the answer")?;
        Ok(())
    }

    async fn send(&mut self, host: &str) -> hyper::Result<Response<Incoming>> {
        let request = |url: String| Request::get(url).header(HOST, host).body(Empty::new()).unwrap_or_default();
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request("/".to_owned())).await,
            Sender::Http2(sender) => sender.send_request(request(format!("http://{host}/"))).await,
        }
    }
}
