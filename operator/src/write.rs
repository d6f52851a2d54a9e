//! The writer: puts what the engine wants written into the cluster, as long as this replica holds the lease.
//!
//! Writes for one target coalesce, the last one counts (`queue`); failures come back with backoff. Nothing here runs
//! while nothing has to be written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::queue::{Attempt, Queue};
use crate::{Target, Write, metrics, timer::at};

mod apply;
pub mod events;
mod queue;

/// A request begun under the lease has ended when another replica may begin: less than the lease's duration minus the time
/// after which its holder gives up.
const REQUEST: Duration = Duration::from_secs(4);
/// Requests at the same time, kind to the API server and quick enough for ten thousand Ingresses after a takeover.
const CONCURRENT: usize = 8;

/// What the writer is told.
#[derive(Debug)]
pub enum Command {
    /// This has to be written.
    Write(Write),
    /// The lease is lost: forget what waits.
    Clear,
}

/// Writes until `shutdown`.
///
/// # Errors
/// [`EngineGone`] when nobody can tell it anything any more.
pub async fn run(
    client: Client,
    mut commands: mpsc::UnboundedReceiver<Command>,
    leading: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<(), EngineGone> {
    let mut queue = Queue::default();
    let mut flying = FuturesUnordered::new();
    let mut failing = BTreeMap::new();
    loop {
        while flying.len() < CONCURRENT && *leading.borrow() {
            let Some(write) = queue.take(Instant::now()) else { break };
            flying.push(attempt(&client, write));
        }
        #[expect(clippy::cast_precision_loss, reason = "a queue is shorter than 2^52")]
        ::metrics::gauge!(metrics::WRITES_PENDING).set(queue.len() as f64);
        let room = flying.len() < CONCURRENT;
        let due = queue.next_due().filter(|_| room && *leading.borrow());
        tokio::select! {
            // Inputs end while the process does; that is no failure then.
            biased;
            () = shutdown.cancelled() => return Ok(()),
            command = commands.recv() => match command {
                Some(Command::Write(write)) => queue.push(write, Instant::now()),
                Some(Command::Clear) => queue.clear(),
                None => return Err(EngineGone),
            },
            Some((write, result)) = flying.next() => {
                let attempt = judge(&write, result, &mut failing);
                queue.settle(write, attempt, Instant::now());
            }
            () = at(due) => {}
        }
    }
}

/// The engine ended, and with it the wish to write.
#[derive(Debug, thiserror::Error)]
#[error("the engine is gone")]
pub struct EngineGone;

async fn attempt(client: &Client, write: Write) -> (Write, Result<apply::Outcome, String>) {
    let result = match timeout(REQUEST, apply::perform(client, &write)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(format!("no answer in {} s", REQUEST.as_secs())),
    };
    (write, result)
}

/// Counts and logs a result. The same failure of the same target is logged once.
fn judge(write: &Write, result: Result<apply::Outcome, String>, failing: &mut BTreeMap<Target, String>) -> Attempt {
    let target = write.target();
    let kind = apply::kind(&target);
    let count = |result| ::metrics::counter!(metrics::WRITES, "kind" => kind, "result" => result).increment(1);
    match result {
        Ok(outcome) => {
            count(outcome.label());
            if failing.remove(&target).is_some() {
                tracing::info!(?target, "the write that had failed is done");
            } else {
                tracing::debug!(?target, ?outcome, "written");
            }
            Attempt::Done
        }
        Err(reason) => {
            count("error");
            if failing.get(&target) != Some(&reason) {
                tracing::warn!(?target, reason, "write failed, trying again");
                failing.insert(target, reason);
            }
            Attempt::Failed
        }
    }
}
