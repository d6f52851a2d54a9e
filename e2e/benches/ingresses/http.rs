//! HTTP/1.1 connections of the bench.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// A SYN to an address that is not redirected yet gets no answer. On the links of one machine one that gets an answer has it at once.
const CONNECT: Duration = Duration::from_millis(5);
const ANSWER: Duration = Duration::from_secs(2);
/// Between two attempts: what is measured is known to this.
const PAUSE: Duration = Duration::from_micros(500);
const LIMIT: Duration = Duration::from_secs(60);

/// A connection that is kept.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        self.sender.ready().await.context("the connection is closed")?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Asks for `/` and reads the whole answer.
    pub(crate) async fn ask(&mut self, host: &str) -> Result<StatusCode> {
        let request = Request::get("/").header(HOST, host).body(Full::default())?;
        let response = self.send(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok(status)
    }
}

/// Asks until the answer is 200; then it is the time of that.
pub(crate) async fn first_200(to: SocketAddr, host: &str) -> Result<Instant> {
    let start = Instant::now();
    let mut kept = None;
    loop {
        if kept.is_none() {
            kept = timeout(CONNECT, Connection::open(to)).await.ok().and_then(Result::ok);
        }
        let answer = match &mut kept {
            Some(connection) => timeout(ANSWER, connection.ask(host)).await.ok().and_then(Result::ok),
            None => None,
        };
        match answer {
            Some(StatusCode::OK) => return Ok(Instant::now()),
            Some(_) => {}
            None => kept = None,
        }
        if start.elapsed() > LIMIT {
            bail!("{host} at {to} is not served after {LIMIT:?}: {answer:?}");
        }
        sleep(PAUSE).await;
    }
}
