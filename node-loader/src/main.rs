//! `axoneme-node`: the loader of one node.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axoneme_node::{
    Config, Endpoint, EnvoyBinary, OnProxyFailure, Operator, UseModule, config, kernel, ports::PortRange, run,
    seat::Seat, status, supervise,
};
use clap::{Args, Parser, Subcommand};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Uri;
use tracing_subscriber::EnvFilter;

/// Takes a node's traffic to its Envoy: eBPF programs, proxy ports, and Envoy's configuration.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// What to log, as `info` or `axoneme_node=debug,warn`.
    #[arg(long, env = "AXONEME_LOG", default_value = "info", global = true)]
    log: String,
    /// Log JSON, one object a line.
    #[arg(long, env = "AXONEME_LOG_JSON", global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node until SIGTERM. Traffic flows on afterwards, for the next run to take over.
    Run(Box<Run>),
    /// Write the bootstrap for an Envoy that somebody else runs.
    Bootstrap(Bootstrap),
    /// Undo all that a node has done to the kernel, whether its loader still runs or not.
    Cleanup(KernelFlags),
    /// Print the state of the running node as JSON.
    Status(RunDir),
    /// Run Envoy as the first process of its container, and start it again at once when it crashes.
    Supervise(Supervise),
    /// Succeed if a supervised Envoy serves, for a probe.
    Ready(Ready),
    /// Copy this program to a file, for a container whose image does not have it.
    Install {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Supervise {
    /// The node's folder for sockets and state: the program is this node's Envoy. It gets its bootstrap from here, a place of its
    /// own beside an older one, and lets its clients go before it ends.
    #[arg(long, env = "AXONEME_RUN_DIR", requires = "node_name")]
    run_dir: Option<PathBuf>,
    /// The node's name, as the operator knows it.
    #[arg(long, env = "AXONEME_NODE_NAME")]
    node_name: Option<String>,
    /// Seconds that clients may take to leave after SIGTERM.
    #[arg(long, env = "AXONEME_ENVOY_DRAIN_TIME", default_value_t = 30)]
    drain_time: u64,
    #[command(flatten)]
    instance: Instance,
    /// The program and its arguments.
    #[arg(last = true, required = true, num_args = 1.., value_name = "PROGRAM")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Ready {
    #[command(flatten)]
    run_dir: RunDir,
    #[command(flatten)]
    instance: Instance,
}

#[derive(Debug, Args)]
struct Instance {
    /// What tells this Envoy from the one that it takes over from, such as the name of its pod.
    #[arg(long, env = "AXONEME_INSTANCE", default_value = "envoy")]
    instance: String,
}

#[derive(Debug, Args)]
struct RunDir {
    /// Folder for sockets and state. It holds private keys: take one that does not outlive a boot.
    #[arg(long, env = "AXONEME_RUN_DIR", default_value = "/run/axoneme")]
    run_dir: PathBuf,
}

#[derive(Debug, Args)]
struct NodeName {
    /// The node's name, as the operator knows it.
    #[arg(long, env = "AXONEME_NODE_NAME")]
    node_name: String,
}

#[derive(Debug, Args)]
struct Bootstrap {
    #[command(flatten)]
    name: NodeName,
    #[command(flatten)]
    run_dir: RunDir,
    /// The file to write; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    name: NodeName,
    #[command(flatten)]
    run_dir: RunDir,
    /// Folder for what is in force, in place of the one above. It holds private keys; one that outlives a boot lets a node that
    /// reboots while the operator is away serve what it served.
    #[arg(long, env = "AXONEME_STATE_DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    kernel: KernelFlags,
    /// The operator, `https://HOST:PORT`.
    #[arg(long, env = "AXONEME_OPERATOR_ADDRESS", value_parser = https)]
    operator_address: Uri,
    /// Certificates (PEM) of the authorities that the operator's must come from. Read at every connect.
    #[arg(long, env = "AXONEME_CA_FILE")]
    ca_file: PathBuf,
    /// The token that proves which node this is. Read at every connect.
    #[arg(long, env = "AXONEME_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Ports for Envoy's listeners on the loopback addresses.
    #[arg(long, env = "AXONEME_PORT_RANGE", default_value_t = PortRange::DEFAULT)]
    port_range: PortRange,
    /// What becomes of new connections to Services with backends while Envoy is away. Addresses without backends refuse
    /// them in any case.
    #[arg(long, env = "AXONEME_ON_PROXY_FAILURE", value_enum, default_value = "bypass")]
    on_proxy_failure: OnProxyFailure,
    /// Seconds that connections may stay at the proxy after their redirect is gone.
    #[arg(long, env = "AXONEME_DRAIN_TIMEOUT", default_value_t = 30)]
    drain_timeout: u64,
    /// Serve `/metrics`, `/healthz` and `/readyz` here, such as `[::]:15016`.
    #[arg(long, env = "AXONEME_METRICS_ADDRESS")]
    metrics_address: Option<SocketAddr>,
    /// Start this Envoy and look after it, in place of one that somebody else runs.
    #[arg(long, env = "AXONEME_ENVOY")]
    envoy: Option<PathBuf>,
    /// Worker threads of the Envoy that `--envoy` starts.
    #[arg(long, env = "AXONEME_ENVOY_CONCURRENCY", default_value_t = 2, requires = "envoy")]
    envoy_concurrency: u16,
    /// Whether Envoy may load the module that finds the routes of a shared Ingress by hash, if it is of the version that the
    /// module is made for. Without it an edit costs a table of all hosts.
    #[arg(long, env = "AXONEME_ENVOY_MODULE", value_enum, default_value = "auto")]
    envoy_module: UseModule,
}

/// Where things are in the kernel. A cleanup needs those of the run.
#[derive(Debug, Args)]
struct KernelFlags {
    /// Folder on a bpffs for maps and links.
    #[arg(long, env = "AXONEME_PIN_DIR", default_value = "/sys/fs/bpf/axoneme")]
    pin_dir: PathBuf,
    /// Cgroup v2 folder below which host processes are found; the mounted tree's root if not given.
    #[arg(long, env = "AXONEME_CGROUP")]
    cgroup: Option<PathBuf>,
    /// Leave IPv6 alone.
    #[arg(long, env = "AXONEME_NO_IPV6")]
    no_ipv6: bool,
    /// Name of the nftables table.
    #[arg(long, env = "AXONEME_NFT_TABLE", default_value = "axoneme")]
    nft_table: String,
    /// More devices that clients outside of the node come in by; `*` stands for any characters.
    #[arg(long = "uplink", env = "AXONEME_UPLINKS", value_delimiter = ',')]
    uplinks: Vec<String>,
    /// Devices to leave alone; `*` stands for any characters.
    #[arg(long = "ignore-device", env = "AXONEME_IGNORED_DEVICES", value_delimiter = ',')]
    ignored_devices: Vec<String>,
}

impl KernelFlags {
    fn config(self) -> kernel::Config {
        kernel::Config {
            pin_dir: self.pin_dir,
            cgroup: self.cgroup,
            ipv6: !self.no_ipv6,
            nft_table: self.nft_table,
            uplinks: self.uplinks,
            ignored_devices: self.ignored_devices,
            ..kernel::Config::default()
        }
    }
}

fn https(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(uri),
        _ => Err("want https://HOST:PORT: the operator gives private keys to nodes".to_owned()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(&cli.log, cli.log_json);
    // One thread: the work is small, and each further one costs memory on every node.
    let done = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(command(cli.command)));
    match done {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "axoneme-node failed");
            ExitCode::FAILURE
        }
    }
}

fn log(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "--log {filter}: {error}; logging at info");
        EnvFilter::new("info")
    });
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    if json { builder.json().init() } else { builder.init() }
}

async fn command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(flags) => run_node(*flags).await?,
        Command::Bootstrap(flags) => bootstrap(&flags)?,
        Command::Cleanup(flags) => kernel::cleanup(&flags.config()).await?,
        Command::Status(RunDir { run_dir }) => print_status(&run_dir).await?,
        Command::Supervise(flags) => return supervised(flags).await,
        Command::Ready(flags) => return ready(flags).await,
        Command::Install { file } => install(&file)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn supervised(flags: Supervise) -> Result<ExitCode> {
    let mut words = flags.command.into_iter();
    let program = words.next().context("no program is named")?;
    let node = flags.run_dir.zip(flags.node_name).map(|(run_dir, name)| supervise::Node {
        config: Config { run_dir, ..Config::new(name) },
        drain_time: Duration::from_secs(flags.drain_time),
        instance: flags.instance.instance,
    });
    let ended = supervise::supervise(program, words.collect(), node).await?;
    tracing::info!(%ended, "the program ended, and so does its supervisor");
    Ok(supervise::exit_code(ended).into())
}

async fn ready(flags: Ready) -> Result<ExitCode> {
    // A probe knows no node: it looks for files only.
    let config = Config { run_dir: flags.run_dir.run_dir, ..Config::new("") };
    let ready = supervise::is_ready(&config, &flags.instance.instance).await;
    let ready = ready.with_context(|| format!("look for Envoy in {}", config.run_dir.display()))?;
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In one step, so that a file that runs can be replaced.
fn install(file: &Path) -> Result<()> {
    let own = env::current_exe().context("find this program")?;
    let new = file.with_extension("new");
    fs::copy(&own, &new).with_context(|| format!("copy {} to {}", own.display(), new.display()))?;
    fs::rename(&new, file).with_context(|| format!("rename {} to {}", new.display(), file.display()))
}

async fn run_node(flags: Run) -> Result<()> {
    let operator = Operator::Endpoint(Endpoint {
        address: flags.operator_address,
        ca_file: flags.ca_file,
        token_file: flags.token_file,
    });
    let config = Config {
        run_dir: flags.run_dir.run_dir,
        state_dir: flags.state_dir,
        waits_for_place: true,
        ports: flags.port_range,
        on_proxy_failure: flags.on_proxy_failure,
        drain_timeout: Duration::from_secs(flags.drain_timeout),
        metrics_address: flags.metrics_address,
        envoy: flags.envoy.map(|path| EnvoyBinary { path, concurrency: flags.envoy_concurrency }),
        envoy_module: flags.envoy_module,
        kernel: flags.kernel.config(),
        ..Config::new(flags.name.node_name)
    };
    tracing::info!(?config, ?operator, "starting");
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    let signals = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; traffic flows on");
        stop.cancel();
        std::future::pending().await
    };
    tokio::select! {
        ended = run(config, operator, shutdown, None) => Ok(ended?),
        never = signals => never,
    }
}

fn bootstrap(flags: &Bootstrap) -> Result<()> {
    let config = Config { run_dir: flags.run_dir.run_dir.clone(), ..Config::new(flags.name.node_name.as_str()) };
    let text = config.bootstrap(Seat::First, None);
    if flags.out == Path::new("-") {
        return io::stdout().write_all(text.as_bytes()).context("write the bootstrap");
    }
    fs::write(&flags.out, text).with_context(|| format!("write the bootstrap to {}", flags.out.display()))
}

async fn print_status(run_dir: &Path) -> Result<()> {
    let socket = config::status_socket(run_dir);
    let asked = status::fetch(&socket).await;
    let status = asked.with_context(|| format!("ask the node at {}; is it running?", socket.display()))?;
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&status)?).context("print the status")
}
