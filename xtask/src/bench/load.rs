//! The client of the bench: one request at a time over plain sockets, so that what is timed is the way, not the client.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How much to ask.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Requests on one kept-alive connection.
    pub requests: usize,
    /// Connections with one request each.
    pub connections: usize,
}

/// What one way took in one round, medians in microseconds.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// A request on an open connection.
    pub request: f64,
    /// Connecting, one request, closing.
    pub connection: f64,
}

impl Load {
    /// Runs on the calling thread, in whatever network that is.
    pub(super) fn run(self, to: SocketAddr) -> Result<Sample> {
        let mut connection = Connection::open(to)?;
        let mut requests = Vec::with_capacity(self.requests);
        for _ in 0..self.requests {
            let start = Instant::now();
            connection.ask()?;
            requests.push(start.elapsed());
        }
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let start = Instant::now();
            Connection::open(to)?.ask()?;
            connections.push(start.elapsed());
        }
        Ok(Sample { request: micros(median(requests)), connection: micros(median(connections)) })
    }
}

/// A kept-alive HTTP/1.1 connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open(to: SocketAddr) -> Result<Self> {
        Self::open_within(to, Duration::from_secs(5))
    }

    /// Neither the connection nor an answer may take longer than `limit`.
    pub(super) fn open_within(to: SocketAddr, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Asks for `/` and returns the body. The servers of the bench always send `content-length`.
    pub(super) fn ask(&mut self) -> Result<&[u8]> {
        self.ask_for("bench")
    }

    /// The same of another host.
    pub(super) fn ask_for(&mut self, host: &str) -> Result<&[u8]> {
        self.stream.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())?;
        self.buffer.clear();
        loop {
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                bail!("the connection ended in the middle of a response");
            }
            self.buffer.extend_from_slice(&chunk[..read]);
            if let Some((head, length)) = complete(&self.buffer)? {
                return Ok(&self.buffer[head..head + length]);
            }
        }
    }
}

/// Where the body begins and how long it is, once all of it is there.
fn complete(response: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = response.windows(4).position(|at| at == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&response[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("expected 200, got: {head}");
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
    Ok((response.len() >= end + 4 + length).then_some((end + 4, length)))
}

/// The middle of a set, or zero of an empty one.
pub(super) fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
