//! The writer: puts what the engine wants written into the cluster, as long as this replica holds the lease.
//!
//! Writes for one target coalesce, the last one counts (`queue`), statuses at a pace of their own (`pace`); failures come back
//! with backoff. Where objects have no status, Events carry it (`subresource`, `announce`). Nothing here runs while nothing has
//! to be written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axoneme_api::names;
use futures::{StreamExt as _, stream::FuturesUnordered};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    announce::Told,
    events::{News, tell},
    queue::{Attempt, Queue},
    subresource::Subresources,
};
use crate::{Target, Write, metrics, timer::at};

mod announce;
mod apply;
pub mod events;
mod pace;
mod queue;
mod subresource;

/// A request begun under the lease has ended when another replica may begin: less than the lease's duration minus the time
/// after which its holder gives up.
const REQUEST: Duration = Duration::from_secs(4);
/// Requests at the same time, kind to the API server and quick enough for ten thousand Ingresses after a takeover.
const CONCURRENT: usize = 8;
/// Longest pause that the API server can ask for, in seconds.
const LONGEST_PAUSE: u32 = 60;

/// What the writer is told.
#[derive(Debug)]
pub enum Command {
    /// This has to be written.
    Write(Write),
    /// The lease is lost: forget what waits.
    Clear,
}

/// The writer's channels.
#[derive(Debug)]
pub struct Wiring {
    /// From the engine.
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Whether this replica writes.
    pub leading: watch::Receiver<bool>,
    /// To who publishes Events.
    pub news: mpsc::Sender<News>,
    /// To the engine: objects have a status that had none, so all of them are to be told again.
    pub retell: mpsc::UnboundedSender<()>,
}

/// Writes until `shutdown`.
///
/// # Errors
/// [`EngineGone`] when nobody can tell it anything any more.
pub async fn run(client: Client, wiring: Wiring, shutdown: CancellationToken) -> Result<(), EngineGone> {
    let Wiring { mut commands, leading, news, retell } = wiring;
    let subresources = Subresources::default();
    let mut queue = Queue::default();
    let mut flying = FuturesUnordered::new();
    let mut failing = BTreeMap::new();
    let mut told = Told::default();
    loop {
        while flying.len() < CONCURRENT && *leading.borrow() {
            let Some(write) = queue.take(Instant::now()) else { break };
            flying.push(attempt(&client, &subresources, write));
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
                if let (Ok(apply::Outcome::NoStatus), Write::ConfigStatus { object, status }) = (&result, &write) {
                    for (what, standing) in told.news(object, status) {
                        tell(&news, News { object: object.clone(), uid: status.uid.clone(), what, standing });
                    }
                }
                let attempt = judge(&write, result, &mut failing);
                queue.settle(write, attempt, Instant::now());
            }
            () = at(due) => {}
            () = at(subresources.next_look()) => match timeout(REQUEST, subresources.ask(&client)).await {
                // Without an engine the supervisor ends the process.
                Ok(Ok(true)) => drop(retell.send(())),
                Ok(Ok(false)) => {}
                Ok(Err(_)) | Err(_) => subresources.postpone(),
            },
        }
    }
}

/// Of an object that the operator makes for itself.
pub(crate) fn made(name: &str) -> ObjectMeta {
    let (label, value) = names::MADE_LABEL;
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([(label.to_owned(), value.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

/// The engine ended, and with it the wish to write.
#[derive(Debug, thiserror::Error)]
#[error("the engine is gone")]
pub struct EngineGone;

/// Why a write was not made.
struct Failure {
    /// Value of the metric's label `result`.
    label: &'static str,
    reason: String,
    /// How long the API server wants to be left alone.
    pause: Option<Duration>,
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let (label, pause) = match &error {
            kube::Error::Api(status) if status.code == 429 => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                ("throttled", Some(Duration::from_secs(seconds.clamp(1, LONGEST_PAUSE).into())))
            }
            kube::Error::Api(status) if status.code == 409 => ("conflict", None),
            _ => ("error", None),
        };
        Self { label, reason: error.to_string(), pause }
    }
}

async fn attempt(
    client: &Client,
    subresources: &Subresources,
    write: Write,
) -> (Write, Result<apply::Outcome, Failure>) {
    let result = match timeout(REQUEST, apply::perform(client, subresources, &write)).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_elapsed) => {
            Err(Failure { label: "error", reason: format!("no answer in {} s", REQUEST.as_secs()), pause: None })
        }
    };
    (write, result)
}

/// Counts and logs a result. The same failure of the same target is logged once.
fn judge(write: &Write, result: Result<apply::Outcome, Failure>, failing: &mut BTreeMap<Target, String>) -> Attempt {
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
        Err(Failure { label, reason, pause }) => {
            count(label);
            if failing.get(&target) != Some(&reason) {
                tracing::warn!(?target, reason, "write failed, trying again");
                failing.insert(target, reason);
            }
            pause.map_or(Attempt::Failed, Attempt::Throttled)
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{Status, response::StatusDetails};

    use super::*;

    fn failure(code: u16, retry_after_seconds: u32) -> (&'static str, Option<Duration>) {
        let (name, group, kind, uid) = Default::default();
        let details = StatusDetails { name, group, kind, uid, causes: Vec::new(), retry_after_seconds };
        let status = Status::failure("no", "No").with_code(code).with_details(details);
        let failure = Failure::from(kube::Error::Api(Box::new(status)));
        (failure.label, failure.pause)
    }

    #[test]
    fn the_api_server_says_how_long_to_leave_it_alone() {
        assert_eq!(failure(429, 3), ("throttled", Some(Duration::from_secs(3))));
        assert_eq!(failure(429, 0), ("throttled", Some(Duration::from_secs(1))));
        assert_eq!(failure(429, 86_400), ("throttled", Some(Duration::from_secs(60))));
        assert_eq!(failure(409, 0), ("conflict", None));
        assert_eq!(failure(503, 3), ("error", None));
    }
}
