//! Binary of the operator: flags, logs, signals.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal as _, stdout},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use axoneme_operator::{
    ingress_flags::{IngressFlags, duration},
    policy_flags::PolicyFlags,
    run::{Options, Rest, run},
};
use clap::{ArgAction, Parser, ValueEnum};
use kube::Client;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Turns Ingress and CiliumEnvoyConfig into what every node has to serve.
///
/// The replica that holds the lease serves nodes and writes Services, status and Events; others stand by. The API server is found
/// as kubectl finds it: KUBECONFIG, or the pod's ServiceAccount.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Namespace of the operator and of the node-loader's ServiceAccount.
    #[arg(long, env = "POD_NAMESPACE", default_value = "axoneme")]
    namespace: String,

    /// Name of this replica, unique in the cluster.
    #[arg(long, env = "POD_NAME")]
    identity: String,

    /// Service under which nodes dial the operator; its DNS names stand in the certificate.
    #[arg(long, env = "AXONEME_SERVICE", default_value = "axoneme-operator")]
    service: String,

    /// Where nodes fetch their intents: gRPC with TLS.
    #[arg(long, env = "AXONEME_INTENTS_ADDRESS", default_value = "[::]:15010")]
    intents_address: SocketAddr,

    /// Where the API server asks about objects before it stores them: HTTPS.
    #[arg(long, env = "AXONEME_WEBHOOK_ADDRESS", default_value = "[::]:15017")]
    webhook_address: SocketAddr,

    /// Whether to serve that webhook.
    #[arg(long, env = "AXONEME_WEBHOOK", default_value_t = true, action = ArgAction::Set)]
    webhook: bool,

    /// Where /metrics, /healthz and /readyz are served: plain HTTP.
    #[arg(long, env = "AXONEME_METRICS_ADDRESS", default_value = "[::]:15014")]
    metrics_address: SocketAddr,

    /// How long a node may be away before the statuses of objects say so, such as 30s. What it said before stands so long, and so
    /// long again after it came back; a loader that is replaced takes some ten seconds.
    #[arg(long, env = "AXONEME_NODE_GRACE", default_value = "30s", value_parser = duration)]
    node_grace: Duration,

    #[command(flatten)]
    policy: PolicyFlags,

    #[command(flatten)]
    ingress: IngressFlags,

    /// What to log, as `level` or `module=level,...`.
    #[arg(long, env = "AXONEME_LOG", default_value = "info")]
    log: String,

    /// How to log.
    #[arg(long, env = "AXONEME_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also to stderr: the log may be what could not be set up.
            eprintln!("axoneme-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&flags.log).with_context(|| format!("--log {:?}", flags.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stdout().is_terminal());
    match flags.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // Two threads: on one what is read goes from task to task without waking another, handshakes and encoding have theirs.
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("starting a thread")?;
    let rest = Rest::default();
    let runtime = {
        let rest = rest.clone();
        let thread = Builder::new_current_thread().enable_all().on_thread_park(move || rest.take()).build();
        thread.context("starting the runtime")?
    };
    runtime.block_on(async {
        let client = Client::try_default().await.context("finding the API server")?;
        let shutdown = CancellationToken::new();
        on_signal(&shutdown)?;
        let options = Options {
            ingress: flags.ingress.defaults(&flags.namespace)?,
            namespace: flags.namespace,
            identity: flags.identity,
            service: flags.service,
            intents: flags.intents_address,
            webhook: flags.webhook.then_some(flags.webhook_address),
            metrics: flags.metrics_address,
            policy: flags.policy.policy(),
            node_grace: flags.node_grace,
        };
        Ok(run(client, options, servers.handle(), &rest, shutdown).await?)
    })
}

/// The first signal asks all tasks to end; a second one ends the process at once.
fn on_signal(shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                tracing::warn!("second signal, exiting at once");
                std::process::exit(1);
            }
            tracing::info!("shutting down");
            shutdown.cancel();
        }
    });
    Ok(())
}
