//! The lease that one replica holds: its holder writes to Kubernetes and serves the nodes, the others stand by.
//!
//! Costs one small write every five seconds by the holder. Others wait on a watch of that single object.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use axoneme_api::names;
use futures::StreamExt as _;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{sync::watch, time::timeout_at};
use tokio_util::sync::CancellationToken;

pub use self::election::{Election, Record, Step, Terms};
use crate::{metrics, write::made};

mod election;

/// Takes part in the election until `shutdown`, then releases the lease so that another replica takes over at once.
///
/// `leading` tells whether this replica may write. It turns false before anybody else may begin.
///
/// # Errors
/// [`LeaseError::Taken`] when another replica has taken over: streams of nodes are still open here, and a new process is the
/// surest end of them. [`LeaseError::WatchEnded`] when the watch of the lease ends, which it never should.
pub async fn run(
    client: Client,
    namespace: &str,
    identity: &str,
    leading: &watch::Sender<bool>,
    shutdown: &CancellationToken,
) -> Result<(), LeaseError> {
    let terms = Terms::default();
    let shell = Shell { api: Api::namespaced(client, namespace), identity, terms };
    let mut election = Election::new(identity, terms);
    let mut led = false;
    let mut changes = pin!(watcher::watch_object(shell.api.clone(), names::LEASE).default_backoff());
    loop {
        let wake = match election.step(Instant::now()) {
            Step::Wait(until) => until.min(election.held_until().unwrap_or(until)),
            step => {
                shell.write(&mut election, &step).await;
                let holds = election.holds(Instant::now());
                publish(leading, holds, identity);
                led |= holds;
                continue;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep_until(wake.into()) => {}
            change = changes.next() => match change {
                Some(Ok(lease)) => election.observe(lease.as_ref().map(Record::from), Instant::now()),
                Some(Err(error)) => tracing::warn!(%error, lease = names::LEASE, "watching the lease failed, trying again"),
                None => return Err(LeaseError::WatchEnded),
            },
        }
        let holds = election.holds(Instant::now());
        publish(leading, holds, identity);
        led |= holds;
        if led && election.is_taken() {
            return Err(LeaseError::Taken);
        }
    }
    if election.holds(Instant::now()) {
        publish(leading, false, identity);
        shell.release().await;
    }
    Ok(())
}

/// Why a replica takes no part in the election any more.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another replica writes and serves now.
    #[error("another replica has taken the lease {}", names::LEASE)]
    Taken,
    /// The watch ended.
    #[error("the watch of the lease {} ended", names::LEASE)]
    WatchEnded,
}

fn publish(leading: &watch::Sender<bool>, holds: bool, identity: &str) {
    let changed = leading.send_if_modified(|now| std::mem::replace(now, holds) != holds);
    if changed {
        ::metrics::gauge!(metrics::LEASE_HELD).set(u8::from(holds));
        tracing::info!(lease = names::LEASE, identity, holds, "this replica's right to write changed");
    }
}

struct Shell<'a> {
    api: Api<Lease>,
    identity: &'a str,
    terms: Terms,
}

impl Shell<'_> {
    /// Performs a step. A conflict is no error: somebody was faster and the watch will tell who.
    async fn write(&self, election: &mut Election, step: &Step) {
        let asked = Instant::now();
        let parameters = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = async {
            match step {
                Step::Create => self.api.create(&parameters, &self.lease(None, 0)).await,
                Step::Write { version, transitions } => {
                    let lease = self.lease(Some(version.clone()), *transitions);
                    self.api.replace(names::LEASE, &parameters, &lease).await
                }
                Step::Wait(_) => self.api.get(names::LEASE).await,
            }
        };
        // A request that hangs must not keep the claim alive beyond its time.
        match timeout_at(election.deadline(asked).into(), request).await {
            Ok(Ok(lease)) => election.written(Record::from(&lease), asked),
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => {
                tracing::debug!(lease = names::LEASE, "another replica was faster");
                election.failed(Instant::now());
            }
            Ok(Err(error)) => self.failed(election, &error.to_string()),
            Err(_elapsed) => self.failed(election, "no answer in time"),
        }
    }

    fn failed(&self, election: &mut Election, reason: &str) {
        ::metrics::counter!(metrics::LEASE_FAILURES).increment(1);
        tracing::warn!(
            lease = names::LEASE,
            identity = self.identity,
            reason,
            "writing the lease failed, trying again"
        );
        election.failed(Instant::now());
    }

    fn lease(&self, version: Option<String>, transitions: i32) -> Lease {
        Lease {
            metadata: ObjectMeta { resource_version: version, ..made(names::LEASE) },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.to_owned()),
                lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
                renew_time: Some(MicroTime(Timestamp::now())),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Gives the lease up. Failing costs the others one lease duration, so it is tried once and logged.
    async fn release(&self) {
        let attempt = async {
            let mut lease = self.api.get(names::LEASE).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(self.identity) {
                spec.holder_identity = None;
                self.api.replace(names::LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(Duration::from_secs(3), attempt).await {
            Ok(Ok(())) => tracing::info!(lease = names::LEASE, "lease released"),
            Ok(Err(error)) => tracing::warn!(lease = names::LEASE, %error, "lease not released; it will expire"),
            Err(_elapsed) => tracing::warn!(lease = names::LEASE, "lease not released in time; it will expire"),
        }
    }
}

impl From<&Lease> for Record {
    fn from(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or(0),
            duration: Duration::from_secs(seconds),
        }
    }
}
