//! One place that owns every long-running task: when one of them ends and nobody asked for it, the process ends too.
//!
//! A replica whose lease task or watch has silently died looks healthy and does harm; a replica that has exited is started
//! again by whoever runs it.

use std::{collections::BTreeMap, error::Error as StdError, future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Why a task failed, in its own words.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// A task ended although nobody had asked for it.
#[derive(Debug, thiserror::Error)]
#[error("task {task} ended unexpectedly: {cause}")]
pub struct TaskEnded {
    /// Name that the task was spawned under.
    pub task: &'static str,
    /// Its error, its panic, or that it just returned.
    pub cause: String,
}

/// Named tasks and the signal that ends them.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), Cause>>,
    names: BTreeMap<Id, &'static str>,
    shutdown: CancellationToken,
}

impl Supervisor {
    /// A supervisor without tasks. Cancelling `shutdown` asks all of them to end.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), names: BTreeMap::new(), shutdown }
    }

    /// The signal that ends all tasks.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task. It must run until the shutdown signal.
    pub fn spawn<E>(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<Cause>,
    {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// The same, on the threads of another runtime.
    pub fn spawn_on<E>(
        &mut self,
        threads: &Handle,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Cause>,
    {
        let id = self.tasks.spawn_on(async move { task.await.map_err(Into::into) }, threads).id();
        self.names.insert(id, name);
    }

    /// Runs until the shutdown signal, then gives the tasks `grace` to end; what is left is aborted.
    ///
    /// # Errors
    /// [`TaskEnded`] for the first task that ended before the signal. The others are asked to end as well.
    pub async fn run(mut self, grace: Duration) -> Result<(), TaskEnded> {
        let verdict = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next_with_id() => Err(self.unexpected(ended)),
        };
        self.shutdown.cancel();
        let drained = timeout(grace, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let (task, cause) = self.describe(ended);
                if let Some(cause) = cause {
                    tracing::warn!(task, cause, "task failed while shutting down");
                }
            }
        });
        if drained.await.is_err() {
            let left: Vec<_> = self.names.values().collect();
            tracing::warn!(?left, ?grace, "tasks did not end in time and are aborted");
        }
        verdict
    }

    fn unexpected(&mut self, ended: Result<(Id, Result<(), Cause>), JoinError>) -> TaskEnded {
        let (task, cause) = self.describe(ended);
        TaskEnded { task, cause: cause.unwrap_or_else(|| "it returned".to_owned()) }
    }

    fn describe(&mut self, ended: Result<(Id, Result<(), Cause>), JoinError>) -> (&'static str, Option<String>) {
        let (id, cause) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(error.to_string())),
            Err(panic) => (panic.id(), Some(panic.to_string())),
        };
        (self.names.remove(&id).unwrap_or("unnamed"), cause)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn an_end_that_nobody_asked_for_is_an_error_with_the_name() {
        for fails in [true, false] {
            let mut supervisor = Supervisor::new(CancellationToken::new());
            supervisor.spawn("lease", async move { if fails { Err(io::Error::other("lost")) } else { Ok(()) } });
            let shutdown = supervisor.shutdown();
            supervisor.spawn("server", async move {
                shutdown.cancelled().await;
                Ok::<_, io::Error>(())
            });
            let ended = supervisor.run(Duration::from_secs(5)).await.unwrap_err();
            assert_eq!(ended.task, "lease");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("engine", async { if true { panic!("bug") } else { Ok::<_, io::Error>(()) } });
        assert_eq!(supervisor.run(Duration::from_secs(5)).await.unwrap_err().task, "engine");
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_signal_does_not_hold_up_the_exit() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("deaf", std::future::pending::<Result<(), io::Error>>());
        supervisor.shutdown().cancel();
        supervisor.run(Duration::from_millis(20)).await.unwrap();
    }
}
