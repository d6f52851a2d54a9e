//! The operator for one machine, inside another program: a folder of YAML in place of Kubernetes, and a node that is
//! reached through memory. The engine and the protocol are the same.
//!
//! ```text
//! folder -> driver (engine in the hub, Local gives addresses) -> channel -> the node-loader of this process
//! ```

use std::{collections::BTreeSet, path::PathBuf};

use axoneme_envoy::Policy;
use axoneme_xds::grpc::Hub;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    Changes, Engine, ObjectKey, Problem, ProblemChange, Report, SourceEvent, Write,
    file_source::{FileProblem, FileSource, Folder, FolderError, Ignored, Location},
    local::{Local, Pools},
    model::IngressDefaults,
    run::driver::{self, World},
    serve,
    supervise::Supervisor,
};

/// Source events that may wait for the engine.
const EVENTS: usize = 64;

/// What to serve, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder of YAML, or one file.
    pub folder: PathBuf,
    /// Name of this machine's node: what `nodeSelector`s see, when the folder has a Node of that name.
    pub node: String,
    /// Where addresses of Services come from.
    pub pools: Pools,
    /// What Envoy configs may make Envoy do.
    pub policy: Policy,
    /// What holds of Ingresses that do not say otherwise.
    pub ingress: IngressDefaults,
}

/// A running operator. Clones look at the same one.
#[derive(Clone, Debug)]
pub struct Standalone {
    hub: Hub<Engine>,
    questions: mpsc::UnboundedSender<oneshot::Sender<FolderNotes>>,
    revision: watch::Receiver<u64>,
}

/// What a person wants to see: what was loaded, where it answers, what is wrong.
#[derive(Debug)]
pub struct Overview {
    /// Every Ingress that is served and every Envoy config.
    pub reports: Vec<Report>,
    /// Problems of objects, with the line that each is about.
    pub problems: Vec<Located>,
    /// Problems of files.
    pub mistakes: Vec<FileProblem>,
    /// Objects of kinds that the mesh does not read.
    pub ignored: Vec<Ignored>,
}

/// A problem and its place in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// None for what stands in no file.
    pub location: Option<Location>,
    /// Whose problem it is.
    pub object: ObjectKey,
    /// What is wrong.
    pub problem: Problem,
}

/// What only the folder knows.
#[derive(Debug)]
struct FolderNotes {
    problems: Vec<Located>,
    mistakes: Vec<FileProblem>,
    ignored: Vec<Ignored>,
}

/// Reads the folder and starts the tasks. The channel is the node-loader's way to its intents.
///
/// # Errors
/// [`FolderError`] when the folder cannot be read or followed. Mistakes inside the folder are no errors: they are in the
/// [`Overview`].
pub fn start(options: Options, tasks: &mut Supervisor) -> Result<(Standalone, Channel), FolderError> {
    let (source, first) = FileSource::open(&options.folder)?;
    let hub = Hub::new(Engine::under(options.policy.clone()).with_defaults(options.ingress).for_nodes());
    let shutdown = tasks.shutdown();

    let (events, told) = mpsc::channel(EVENTS);
    let (streams, answers) = mpsc::unbounded_channel();
    let (questions, asked) = mpsc::unbounded_channel();
    let (revision, revisions) = watch::channel(0);
    let (synced, ready) = watch::channel(false);

    let files = Files { source, events, asked, hub: hub.clone(), revision: revision.clone() };
    tasks.spawn("files", files.follow(first, shutdown.clone()));
    tasks.spawn("engine", {
        let (hub, shutdown) = (hub.clone(), shutdown.clone());
        let world = Machine { local: Local::new(options.pools), revision };
        async move {
            // There is nobody to write to: what the engine wants written, `Local` takes at once.
            let (_never, leading) = watch::channel(false);
            let (_nobody, expected) = watch::channel(Some(BTreeSet::new()));
            let (_silent, again) = mpsc::unbounded_channel();
            let inputs = driver::Inputs { events: told, streams: answers, leading, expected, again };
            driver::run(hub, inputs, world, synced, shutdown).await
        }
    });
    let (channel, server) = serve::serve_local(hub.clone(), &options.node, streams.clone(), shutdown.clone());
    tasks.spawn("intents", async move {
        if driver::until_true(ready, &shutdown).await {
            server.await?;
        }
        // It ends with the node at the other end of the channel, which is the one to say why: until then the engine stays.
        shutdown.cancelled().await;
        drop(streams);
        Ok::<_, serve::ServeError>(())
    });
    Ok((Standalone { hub, questions, revision: revisions }, channel))
}

impl Standalone {
    /// Counts up whenever the [`Overview`] may have changed. Await its `changed` to redraw.
    #[must_use]
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Looks at everything. Costs all objects: for people, not for machines. None when the tasks have ended.
    pub async fn overview(&self) -> Option<Overview> {
        let (answer, notes) = oneshot::channel();
        self.questions.send(answer).ok()?;
        let FolderNotes { problems, mistakes, ignored } = notes.await.ok()?;
        Some(Overview { reports: self.hub.read(Engine::reports), problems, mistakes, ignored })
    }
}

/// The machine as the engine's world.
struct Machine {
    local: Local,
    revision: watch::Sender<u64>,
}

impl World for Machine {
    fn apply(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        self.local.drive(engine, event)
    }

    fn write(&mut self, _: Vec<Write>) {}

    fn step_down(&mut self) {}

    fn problems(&mut self, _: &Engine, _: &ObjectKey, _: &ProblemChange, _: bool) {}

    fn changed(&mut self) {
        self.revision.send_modify(|revision| *revision += 1);
    }
}

/// The folder's task.
struct Files {
    source: FileSource,
    events: mpsc::Sender<SourceEvent>,
    asked: mpsc::UnboundedReceiver<oneshot::Sender<FolderNotes>>,
    hub: Hub<Engine>,
    revision: watch::Sender<u64>,
}

/// The folder cannot be followed any more.
#[derive(Debug, thiserror::Error)]
enum FilesEnded {
    #[error("the kernel tells no more of the folder")]
    Watch,
    #[error("the engine is gone")]
    Engine,
}

impl Files {
    async fn follow(mut self, first: Vec<SourceEvent>, shutdown: CancellationToken) -> Result<(), FilesEnded> {
        self.tell(first).await?;
        loop {
            tokio::select! {
                // Others end while the process does; that is no failure then.
                biased;
                () = shutdown.cancelled() => return Ok(()),
                events = self.source.next() => self.tell(events.ok_or(FilesEnded::Watch)?).await?,
                Some(answer) = self.asked.recv() => {
                    // Whoever asked may have gone meanwhile.
                    let _ = answer.send(notes(self.source.folder(), &self.hub));
                }
            }
        }
    }

    async fn tell(&mut self, events: Vec<SourceEvent>) -> Result<(), FilesEnded> {
        // A file that does not parse changes no object, but what a person sees.
        let quiet = events.is_empty();
        for event in events {
            self.events.send(event).await.map_err(|_| FilesEnded::Engine)?;
        }
        if quiet {
            self.revision.send_modify(|revision| *revision += 1);
        }
        Ok(())
    }
}

fn notes(folder: &Folder, hub: &Hub<Engine>) -> FolderNotes {
    let problems = hub.read(|engine| locate(engine, folder));
    FolderNotes { problems, mistakes: folder.problems(), ignored: folder.ignored() }
}

/// Every problem that the engine sees, with its place in the folder that the objects came from.
#[must_use]
pub fn locate(engine: &Engine, folder: &Folder) -> Vec<Located> {
    let located = |object: &ObjectKey, problem: &Problem| Located {
        location: folder.locate(object, &problem.field),
        object: object.clone(),
        problem: problem.clone(),
    };
    let all = engine.problems().iter();
    all.flat_map(|(object, problems)| problems.iter().map(move |problem| located(object, problem))).collect()
}

#[cfg(test)]
mod tests;
