//! `axonctl up`: the whole mesh of one machine in one process, from a folder of YAML.
//!
//! Operator and node-loader are the same libraries as in a cluster; the connection between them is in memory.

use std::{convert::Infallible, io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use axoneme_node::{Config, EnvoyBinary, Operator, UseModule};
use axoneme_operator::{
    ingress_flags::IngressFlags,
    local::{Network, Pools},
    policy_flags::PolicyFlags,
    standalone,
    supervise::Supervisor,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::input;

mod screen;

use screen::Screen;

/// Where the Service of shared Ingresses is.
const NAMESPACE: &str = "axoneme";
/// What the end may take: connections are given up, eBPF links, rules and routes are removed.
const GRACE: Duration = Duration::from_secs(5);

/// Run the mesh on this machine from a folder of YAML, until Ctrl-C.
///
/// The folder holds what `kubectl apply` takes: Ingress, Service, EndpointSlice, Secret, CiliumEnvoyConfig. An edit of a file
/// takes effect at once. Processes of this machine, its containers and its network namespaces reach the addresses of the
/// Services; nothing is left behind at the end.
#[derive(clap::Args)]
pub(crate) struct Up {
    /// The folder, with its subfolders; or one file.
    folder: PathBuf,
    /// The Envoy to run. Any upstream build of 1.40.
    #[arg(long, env = "AXONEME_ENVOY", default_value = "envoy", value_name = "PROGRAM")]
    envoy: PathBuf,
    /// Whether Envoy may load the module that finds the routes of a shared Ingress by hash; other versions than 1.40.0 never do.
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    envoy_module: UseModule,
    /// Worker threads of Envoy.
    #[arg(long, default_value_t = 2, value_name = "N")]
    concurrency: u16,
    /// Seconds that connections may stay at the proxy after their redirect is gone.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    drain_timeout: u64,
    /// Name of this machine as a node.
    #[arg(long, default_value = "local", value_name = "NAME")]
    node: String,
    /// Folder for sockets and state.
    #[arg(long, env = "AXONEME_RUN_DIR", default_value = "/run/axoneme", value_name = "DIR")]
    run_dir: PathBuf,
    /// Folder on a bpffs for eBPF maps and links.
    #[arg(long, default_value = "/sys/fs/bpf/axoneme", value_name = "DIR")]
    pin_dir: PathBuf,
    /// cgroup v2 folder whose processes are this machine's own; the root of the mounted tree if not given.
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
    /// Where Services without a cluster IP get one: a network, or one of each family.
    #[arg(long, value_delimiter = ',', default_value = input::SERVICE_POOL, value_name = "CIDR")]
    service_pool: Vec<Network>,
    /// Where load balancer addresses come from, likewise.
    #[arg(long, value_delimiter = ',', default_value = input::LB_POOL, value_name = "CIDR")]
    lb_pool: Vec<Network>,
    #[command(flatten)]
    policy: PolicyFlags,
    #[command(flatten)]
    ingress: IngressFlags,
    /// What goes to the log on standard error: a level, or `target=level,...`; `axoneme::xds=debug` shows each resource that
    /// goes to the node or to Envoy, and the answer to it.
    #[arg(long, env = "AXONEME_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
}

impl Up {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log).context("--log")?;
        let colours = std::io::stderr().is_terminal();
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
        // Little happens in this process: the packets are the kernel's and Envoy's.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.mesh())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn mesh(self) -> Result<()> {
        // First of all: loading eBPF programs does not yield, and a Ctrl-C meanwhile must not kill us half-way.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let shutdown = CancellationToken::new();
        let mut tasks = Supervisor::new(shutdown.clone());
        let (standalone, operator) = standalone::start(self.operator()?, &mut tasks)?;
        let (events, told) = tokio::sync::mpsc::unbounded_channel();
        let node = axoneme_node::run(self.node(), Operator::Channel(operator), shutdown.clone(), Some(events));
        tasks.spawn("node", node);
        tasks.spawn("screen", Screen::new(standalone, &self.folder).follow(told, shutdown.clone()));
        tasks.spawn("signals", async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = shutdown.cancelled() => {}
            }
            shutdown.cancel();
            Ok::<_, Infallible>(())
        });
        tasks.run(GRACE).await?;
        println!("ended; nothing is left behind");
        Ok(())
    }

    fn operator(&self) -> Result<standalone::Options> {
        Ok(standalone::Options {
            folder: self.folder.clone(),
            node: self.node.clone(),
            pools: Pools {
                cluster: self.service_pool.clone(),
                load_balancer: self.lb_pool.clone(),
                node_ports: 30_000..=32_767,
            },
            policy: self.policy.policy(),
            ingress: self.ingress.clone().defaults(NAMESPACE)?,
        })
    }

    fn node(&self) -> Config {
        let mut config = Config::new(self.node.clone());
        config.run_dir.clone_from(&self.run_dir);
        config.envoy = Some(EnvoyBinary { path: self.envoy.clone(), concurrency: self.concurrency });
        config.envoy_module = self.envoy_module;
        config.drain_timeout = Duration::from_secs(self.drain_timeout);
        config.cleanup_on_exit = true;
        config.kernel.pin_dir.clone_from(&self.pin_dir);
        config.kernel.cgroup.clone_from(&self.cgroup);
        config
    }
}
