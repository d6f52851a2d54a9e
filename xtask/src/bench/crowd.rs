//! Many connections at a time: how many requests a second a way carries, and what they cost Envoy.

use std::{
    net::SocketAddr,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::load::Connection;

/// Memory of a thread that only asks.
const STACK: usize = 64 << 10;

/// Asks `requests` times over `connections` that stay open, each by a thread of its own; takes from the first request to the last
/// answer. The threads are in the network of the caller.
pub(super) fn ask(to: SocketAddr, connections: usize, requests: usize) -> Result<Duration> {
    let (each, start) = (requests / connections, Barrier::new(connections + 1));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| {
                let work = || {
                    let open = Connection::open(to);
                    start.wait();
                    let mut connection = open?;
                    (0..each).try_for_each(|_| connection.ask().map(drop))
                };
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)
            })
            .collect::<Result<_, _>>()
            .context("start a thread for each connection")?;
        start.wait();
        let begin = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of the load ended early"))??;
        }
        Ok(begin.elapsed())
    })
}
