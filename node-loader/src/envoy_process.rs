//! Envoy as a child: started, listened to, started again when it ends, ended with us.
//!
//! In standalone only. In Kubernetes Envoy is in a container of its own, under [`crate::supervise`].

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use metrics::counter;
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Config, EnvoyBinary, envoy_module::SEARCH_PATH, metrics::ENVOY_EXITS, pacing::Pacing, seat::Seat};

/// How long Envoy may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long Envoy asks the connections of a listener that it was told to drop to go, before it ends them; the chart says the same.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(30);

/// Level, logger and text, one line each.
const LOG_FORMAT: &str = "%l\t%n\t%j";

/// Why Envoy does not run.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The bootstrap cannot be written.
    #[error("write Envoy's bootstrap {path}: {source}")]
    Bootstrap {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("start Envoy {path}: {source}; name an Envoy binary with --envoy")]
    Start {
        /// The program.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system does not say what became of it.
    #[error("wait for Envoy: {0}")]
    Wait(io::Error),
}

/// Keeps Envoy running until shutdown.
///
/// # Errors
/// When it cannot be started at all. One that ends is started again after a pause, 50 ms at first.
pub async fn supervise(config: Config, binary: EnvoyBinary, shutdown: CancellationToken) -> Result<(), EnvoyError> {
    let bootstrap = config.bootstrap_file(Seat::First);
    fs::write(&bootstrap, config.bootstrap(Seat::First, None))
        .map_err(|source| EnvoyError::Bootstrap { path: bootstrap.clone(), source })?;
    let mut pacing = Pacing::default();
    loop {
        let started = Instant::now();
        let mut child = start(&config, &binary)?;
        tracing::info!(pid = child.id(), path = %binary.path.display(), "Envoy started");
        let lines = forward(child.stderr.take());
        let ended = tokio::select! {
            ended = async { tokio::join!(child.wait(), lines).0 } => ended.map_err(EnvoyError::Wait)?,
            () = shutdown.cancelled() => return stop(child).await,
        };
        let pause = pacing.ended(started.elapsed());
        counter!(ENVOY_EXITS, "cause" => cause(ended)).increment(1);
        tracing::error!(%ended, again_in = ?pause, "Envoy ended");
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

fn start(config: &Config, binary: &EnvoyBinary) -> Result<Child, EnvoyError> {
    let mut command = Command::new(&binary.path);
    let drain_time = DRAIN_TIME.min(config.drain_timeout).as_secs().max(1).to_string();
    command
        .env(SEARCH_PATH, config.modules_dir())
        .arg("--config-path")
        .arg(config.bootstrap_file(Seat::First))
        .args(["--disable-hot-restart", "--drain-time-s", &drain_time, "--log-level", "warning"])
        .args(["--log-format", LOG_FORMAT, "--concurrency", &binary.concurrency.to_string()])
        .stdin(Stdio::null())
        // Envoy prints nothing there by itself: these are access logs of users.
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is for us alone; we end Envoy.
        .process_group(0)
        .kill_on_drop(true);
    die_with_parent(command.as_std_mut());
    command.spawn().map_err(|source| EnvoyError::Start { path: binary.path.clone(), source })
}

#[expect(unsafe_code, reason = "only between fork and exec can a process ask to die with its parent")]
pub(crate) fn die_with_parent(command: &mut std::process::Command) {
    // SAFETY: the closure makes one system call, which is safe to make between fork and exec, and allocates nothing.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

async fn stop(mut child: Child) -> Result<(), EnvoyError> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // One that has ended already is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!("Envoy does not end, killing it");
        child.kill().await.map_err(EnvoyError::Wait)?;
    }
    Ok(())
}

/// Envoy's log lines become ours.
async fn forward(from: Option<impl AsyncRead + Unpin>) {
    let Some(from) = from else { return };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut parts = line.splitn(3, '\t');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("critical" | "error"), Some(logger), Some(text)) => tracing::error!(target: "envoy", logger, text),
            (Some("warning"), Some(logger), Some(text)) => tracing::warn!(target: "envoy", logger, text),
            (Some(_), Some(logger), Some(text)) => tracing::info!(target: "envoy", logger, text),
            // Written before or beside Envoy's logging: usage, a crash.
            _ => tracing::warn!(target: "envoy", text = line),
        }
    }
}

fn cause(ended: ExitStatus) -> &'static str {
    match ended.code() {
        Some(0) => "exit",
        Some(_) => "failure",
        None => "signal",
    }
}
