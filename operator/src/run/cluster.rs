//! Where the engine's results go in a cluster: the writer's queue, the Events of objects, and the watches of Secrets.

use std::time::Duration;

use tokio::sync::mpsc;

use super::driver::World;
use crate::{
    Changes, Engine, Kind, ObjectKey, ProblemChange, SourceEvent, Write,
    kube_source::secrets::Named,
    write::{
        Command,
        events::{News, tell},
    },
};

/// A node tries again after five seconds at most.
const GATHERING: Duration = Duration::from_secs(6);
/// Kinds whose objects can name Secrets.
const NAMING: [Kind; 2] = [Kind::CiliumEnvoyConfig, Kind::CiliumClusterwideEnvoyConfig];

/// Channels to the tasks that write.
#[derive(Debug)]
pub(super) struct Cluster {
    writes: mpsc::UnboundedSender<Command>,
    news: mpsc::Sender<News>,
    secrets: mpsc::UnboundedSender<Named>,
    /// Whether the watches of Secrets were told that all objects are known that could name one.
    all_named: bool,
}

impl Cluster {
    pub(super) fn new(
        writes: mpsc::UnboundedSender<Command>,
        news: mpsc::Sender<News>,
        secrets: mpsc::UnboundedSender<Named>,
    ) -> Self {
        Self { writes, news, secrets, all_named: false }
    }

    fn name(&self, named: Named) {
        // Without the watches the supervisor ends the process.
        let _ = self.secrets.send(named);
    }
}

impl World for Cluster {
    fn gathering(&self) -> Duration {
        GATHERING
    }

    fn apply(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        let mut changes = engine.apply(event);
        for (secret, wanted) in std::mem::take(&mut changes.secrets) {
            self.name(if wanted { Named::Wanted(secret) } else { Named::Unwanted(secret) });
        }
        if !self.all_named && engine.is_synced(&NAMING) {
            self.all_named = true;
            self.name(Named::All);
        }
        changes
    }

    /// What is written comes back by the watches.
    fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            // Without a writer the supervisor ends the process.
            let _ = self.writes.send(Command::Write(write));
        }
    }

    fn step_down(&mut self) {
        let _ = self.writes.send(Command::Clear);
    }

    fn problems(&mut self, engine: &Engine, object: &ObjectKey, change: &ProblemChange) {
        for problem in &change.added {
            let uid = engine.uid(object).map(str::to_owned);
            tell(&self.news, News { object: object.clone(), uid, what: problem.into() });
        }
    }

    fn changed(&mut self) {}
}
