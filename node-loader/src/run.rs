//! The node at work: starts the parts, runs them together, ends them in order.

use std::{convert::Infallible, fs, io, os::unix::fs::DirBuilderExt as _, path::PathBuf, time::Duration};

use axoneme_xds::grpc::{Hub, subscribe};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, NodeEvent, Operator,
    ads::{self, Offer},
    datapath::{Datapath, DatapathError},
    envoy_module::EnvoyModule,
    envoy_process::{self, EnvoyError},
    http::{self, Questions},
    intents, kernel,
    listener::Ground,
    metrics,
    monitor::Watcher,
    ports::{at_risk, is_free},
    reconcile::{Reconcile, Settings},
    seat::Seat,
    state_file::{StateFiles, SuspectFiles},
};

mod answers;
mod away;
mod crashes;
mod drain;
mod listen;
mod node;
mod questions;

use node::{Inputs, Node, Reach};

/// Longer than Envoy is given to end.
const GRACE: Duration = Duration::from_secs(3);

/// Why a node does not run, or does not any more.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The kernel's side.
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    /// Envoy as a child.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// The xDS server for Envoy.
    #[error("serve xDS to Envoy: {0}")]
    Ads(#[from] tonic::transport::Error),
    /// A folder, a socket, a file.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The metrics' port.
    #[error("serve metrics on {address}: {message}")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        message: String,
    },
    /// A part ended that never ends.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
    /// A part panicked.
    #[error("a task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<Infallible> for NodeError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Runs a node until `shutdown`.
///
/// What is in force stays so afterwards, for the next run to adopt, unless `config.cleanup_on_exit`. `events` hears what
/// happens, for people who watch.
///
/// # Errors
/// When a part cannot start or ends: the caller should end with a failure, and start anew.
pub async fn run(
    config: Config,
    operator: Operator,
    shutdown: CancellationToken,
    events: Option<UnboundedSender<NodeEvent>>,
) -> Result<(), NodeError> {
    let kernel = config.kernel.clone();
    let cleanup = config.cleanup_on_exit;
    let Some(_lock) = take_place(&kernel, config.waits_for_place, &shutdown).await? else { return Ok(()) };
    let result = start_and_run(config, operator, shutdown, events).await;
    // Also after a start that failed half-way.
    let cleaned = if cleanup { kernel::cleanup(&kernel).await } else { Ok(()) };
    result?;
    Ok(cleaned?)
}

/// The place of this node's loader, if need be when the one before has ended. `None` when the shutdown came first.
async fn take_place(
    kernel: &kernel::Config,
    waits: bool,
    shutdown: &CancellationToken,
) -> Result<Option<kernel::Lock>, NodeError> {
    let mut told = false;
    loop {
        match kernel::lock(kernel) {
            Err(DatapathError::Taken(_)) if waits => {}
            taken => return Ok(Some(taken?)),
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(pins = %kernel.pin_dir.display(), "another loader is at work; waiting for it to end");
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// How often a loader that waits for another one looks whether it is gone. Traffic flows meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn start_and_run(
    config: Config,
    operator: Operator,
    shutdown: CancellationToken,
    events: Option<UnboundedSender<NodeEvent>>,
) -> Result<(), NodeError> {
    let kernel::Started { kernel, watcher, monitor } = tokio::select! {
        biased;
        // What is half in place is taken away, or taken over by the next start, as if this one had been killed.
        () = shutdown.cancelled() => return Ok(()),
        started = kernel::start(config.kernel.clone()) => started?,
    };
    let mut parts = Parts::new(&shutdown);
    parts.spawn_endless("device watcher", watcher.run());
    let (watch, watchers) = unbounded_channel();
    parts.spawn_endless("monitor", monitor.run(watchers));
    run_on(Box::new(kernel), Some(watch), parts, config, operator, events).await
}

/// The same on a datapath that is there already.
///
/// # Errors
/// Those of [`run`].
pub async fn run_with(
    datapath: Box<dyn Datapath>,
    config: Config,
    operator: Operator,
    shutdown: CancellationToken,
    events: Option<UnboundedSender<NodeEvent>>,
) -> Result<(), NodeError> {
    run_on(datapath, None, Parts::new(&shutdown), config, operator, events).await
}

async fn run_on(
    datapath: Box<dyn Datapath>,
    monitor: Option<UnboundedSender<Watcher>>,
    mut parts: Parts,
    config: Config,
    operator: Operator,
    events: Option<UnboundedSender<NodeEvent>>,
) -> Result<(), NodeError> {
    let failed = |what, path: PathBuf| move |source| NodeError::Io { what, path, source };
    let run_dir = fs::DirBuilder::new().recursive(true).mode(0o755).create(&config.run_dir);
    run_dir.map_err(failed("make folder", config.run_dir.clone()))?;
    let xds = ads::bind(&config.xds_socket()).map_err(failed("bind socket", config.xds_socket()))?;
    let status = ads::bind(&config.status_socket()).map_err(failed("bind socket", config.status_socket()))?;
    let state = StateFiles::open(config.state_dir()).map_err(failed("open", config.state_dir()))?;
    let records = state.load().map_err(failed("read", config.state_dir()))?;
    let suspects = SuspectFiles::open(config.suspects_dir()).map_err(failed("open", config.suspects_dir()))?;
    let suspected = suspects.load().map_err(failed("read", config.suspects_dir()))?;
    let held: Vec<_> = records.iter().map(|record| record.resource.clone()).collect();

    let ipv6 = config.kernel.ipv6;
    let settings = Settings {
        ports: config.ports,
        on_proxy_failure: config.on_proxy_failure,
        ground: Ground { ipv6, groups: kernel::assigns_to_groups() },
        is_free: Box::new(move |port| is_free(port, ipv6)),
    };
    if let Some((_, note)) = at_risk(config.ports) {
        tracing::warn!("{note}");
    }
    let core = Reconcile::new(settings, datapath.entries()?);
    let hub = Hub::new(Offer::default());
    let (envoy_said, from_envoy) = unbounded_channel();
    let (questions, asked) = unbounded_channel();
    let module = EnvoyModule::new(&config);
    let client = intents::client(&config.node_name, module.features(), held);
    let (intents, driver) = subscribe(client, intents::channel(&operator), intents::metadata(operator));

    let inputs = Inputs { intents, envoy: from_envoy, questions: asked, addresses: datapath.node_addresses() };
    let settler = inputs.intents.settler();
    let reach = Reach { hub: hub.clone(), datapath, state, suspects, settler, module, events };
    let mut node = Node::new(&config, core, reach);
    // Before Envoy may ask: the first answer it gets is the whole.
    node.restore(records, suspected);

    let shutdown = parts.shutdown.clone();
    let questions = Questions(questions);
    if let Some(address) = config.metrics_address {
        let failed = |message: String| NodeError::Metrics { address, message };
        let listener = TcpListener::bind(address).await.map_err(|error| failed(error.to_string()))?;
        let handle = metrics::install().map_err(|error| failed(error.to_string()))?;
        parts.spawn("metrics", http::serve_metrics(listener, questions.clone(), handle, shutdown.clone()));
    }
    parts.spawn("status", http::serve_status(status, questions, monitor, shutdown.clone()));
    parts.spawn("xDS server", ads::serve(xds, hub, envoy_said, shutdown.clone()));
    parts.spawn_endless("intent client", async move {
        driver.await;
        Ok::<_, Infallible>(())
    });
    if let Some(binary) = config.envoy.clone() {
        parts.spawn("Envoy", envoy_process::supervise(config.clone(), binary, shutdown));
    }
    let result = parts.run(node.run(inputs), GRACE).await;
    if config.cleanup_on_exit {
        remove_files(&config)?;
    }
    result
}

/// What the node wrote to disk.
fn remove_files(config: &Config) -> Result<(), NodeError> {
    let failed = |path: PathBuf| move |source| NodeError::Io { what: "remove", path, source };
    let cleared = StateFiles::open(config.state_dir()).and_then(|state| state.clear());
    cleared.map_err(failed(config.state_dir()))?;
    let cleared = SuspectFiles::open(config.suspects_dir()).and_then(|suspects| suspects.clear());
    cleared.map_err(failed(config.suspects_dir()))?;
    let (admin, bootstrap) = (config.admin_socket(Seat::First), config.bootstrap_file(Seat::First));
    for file in [config.xds_socket(), config.status_socket(), admin, bootstrap] {
        let _ = fs::remove_file(file);
    }
    let _ = fs::remove_dir_all(config.modules_dir());
    // Unless somebody else has something in it.
    let _ = fs::remove_dir(&config.run_dir);
    Ok(())
}

/// The tasks of a node. When one ends before the node does, so do all.
struct Parts {
    tasks: JoinSet<(&'static str, Result<(), NodeError>)>,
    /// Those that do not hear of a shutdown.
    endless: Vec<AbortHandle>,
    shutdown: CancellationToken,
}

impl Parts {
    /// None yet. When they end, `shutdown` is left alone: what becomes of the rest of the process is its owner's to decide.
    fn new(shutdown: &CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), endless: Vec::new(), shutdown: shutdown.child_token() }
    }

    /// Starts a part that ends after a shutdown by itself.
    fn spawn<E: Into<NodeError>>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> AbortHandle {
        self.tasks.spawn(async move { (name, part.await.map_err(Into::into)) })
    }

    /// Starts a part that has nothing to do at a shutdown, and is dropped then.
    fn spawn_endless<E: Into<NodeError>>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.spawn(name, part);
        self.endless.push(handle);
    }

    /// Runs the core beside the tasks, until shutdown or the end of any; then waits for those that end by themselves, for `grace`.
    async fn run(mut self, core: impl Future<Output = ()>, grace: Duration) -> Result<(), NodeError> {
        let result = tokio::select! {
            () = self.shutdown.cancelled() => Ok(()),
            () = core => Err(NodeError::Ended("the node's core")),
            Some(ended) = self.tasks.join_next() => match ended {
                Ok((_, Err(error))) => Err(error),
                Ok((name, Ok(()))) if !self.shutdown.is_cancelled() => Err(NodeError::Ended(name)),
                Ok((_, Ok(()))) => Ok(()),
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = &result {
            tracing::error!(%error, "the node ends");
        }
        self.shutdown.cancel();
        self.endless.iter().for_each(AbortHandle::abort);
        // Envoy and the servers end in their own time.
        let _ = timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        self.tasks.shutdown().await;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_is_to_end_before_it_has_started_starts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new("node-1");
        // To start is an error: no bpffs is there.
        config.kernel.pin_dir = folder.path().join("pins");
        let address = tonic::transport::Uri::from_static("https://127.0.0.1:1");
        let operator = || {
            let (address, ca_file) = (address.clone(), folder.path().join("ca.crt"));
            Operator::Endpoint(crate::Endpoint { address, ca_file, token_file: None })
        };
        let shutdown = CancellationToken::new();
        assert!(run(config.clone(), operator(), shutdown.clone(), None).await.is_err());
        shutdown.cancel();
        run(config, operator(), shutdown, None).await.unwrap();
    }

    #[tokio::test]
    async fn parts_that_never_end_delay_no_end() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(&shutdown);
        parts.spawn_endless("endless", std::future::pending::<Result<(), NodeError>>());
        let heard = shutdown.clone();
        parts.spawn("orderly", async move {
            heard.cancelled().await;
            Ok::<_, Infallible>(())
        });
        shutdown.cancel();
        let ended = parts.run(std::future::pending(), Duration::MAX);
        timeout(Duration::from_secs(30), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_part_that_fails_is_told_and_ends_nothing_but_the_node() {
        let shutdown = CancellationToken::new();
        let mut parts = Parts::new(&shutdown);
        parts.spawn("failing", async { Err(NodeError::Ended("a part")) });
        let result = parts.run(std::future::pending(), GRACE).await;
        assert!(matches!(result, Err(NodeError::Ended("a part"))), "{result:?}");
        assert!(!shutdown.is_cancelled(), "to its owner this looks like an end that somebody asked for");
    }
}
