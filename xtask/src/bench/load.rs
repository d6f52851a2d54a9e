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
    /// Requests on kept-alive connections, for each way.
    pub requests: usize,
    /// Connections with one request each, for each way.
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

/// Connections that stay open, for each way. The kernel spreads them over Envoy's workers, so that the ways do not differ by a worker.
const OPEN: usize = 8;

impl Load {
    /// Takes each way in turn, request by request: neighbours in time are what is compared. Each request and each connection that
    /// counts is the second of two. Runs on the calling thread, in whatever network that is.
    pub(super) fn run(self, ways: &[SocketAddr]) -> Result<Vec<Sample>> {
        let open = |to: &SocketAddr| (0..OPEN).map(|_| Connection::open(*to)).collect::<Result<Vec<_>>>();
        let mut open = ways.iter().map(open).collect::<Result<Vec<_>>>()?;
        let mut requests = vec![Vec::with_capacity(self.requests); ways.len()];
        for turn in 0..self.requests {
            for (connections, times) in open.iter_mut().zip(&mut requests) {
                let connection = &mut connections[turn % OPEN];
                // What ran before has left its traces in the caches of the processor: let it be the same way.
                connection.ask()?;
                let start = Instant::now();
                connection.ask()?;
                times.push(start.elapsed());
            }
        }
        let mut connections = vec![Vec::with_capacity(self.connections); ways.len()];
        for _ in 0..self.connections {
            for (to, times) in ways.iter().zip(&mut connections) {
                Connection::open(*to)?.ask()?;
                let start = Instant::now();
                Connection::open(*to)?.ask()?;
                times.push(start.elapsed());
            }
        }
        let sample = |(requests, connections)| Sample {
            request: micros(median(requests)),
            connection: micros(median(connections)),
        };
        Ok(requests.into_iter().zip(connections).map(sample).collect())
    }
}

/// Connects, by each way in turn, and returns the median of each way in microseconds. Nobody needs to accept: so many fit into the
/// queue of every listener.
pub(super) fn connect(ways: &[SocketAddr]) -> Result<Vec<f64>> {
    const CONNECTIONS: usize = 50;
    let mut open = Vec::new();
    let mut times = vec![Vec::with_capacity(CONNECTIONS); ways.len()];
    for _ in 0..CONNECTIONS {
        for (to, times) in ways.iter().zip(&mut times) {
            let start = Instant::now();
            open.push(TcpStream::connect_timeout(to, Duration::from_secs(5))?);
            times.push(start.elapsed());
        }
    }
    Ok(times.into_iter().map(|times| micros(median(times))).collect())
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
