//! A real Kubernetes cluster out of Linux namespaces: `cargo xtask cluster up`, then `kubectl` as ever.
//!
//! The scripts of `e2e/cluster/` do the work; this names the cluster, hands them binaries and images, and finds it again.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::{paths, shell};

pub(crate) mod binaries;

/// Build, start and stop a Kubernetes cluster on this machine.
#[derive(Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the binaries and images of the cluster, unless they are there.
    Build,
    /// Start it. A cluster that answers is left alone; the remains of a killed one are swept first.
    Up(Up),
    /// Stop it; nothing is left behind.
    Down(Which),
    /// Print the path of the administrator's kubeconfig.
    Kubeconfig(Which),
    /// Run kubectl as the cluster's administrator.
    Kubectl {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Load image archives on every node.
    Load {
        #[command(flatten)]
        which: Which,
        files: Vec<PathBuf>,
    },
    /// Run a command inside a box: cp, node1, node2, ... or client (the outside).
    Exec {
        #[command(flatten)]
        which: Which,
        node: String,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

/// Which cluster.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// Name of the cluster, at most 4 characters.
    #[arg(long, default_value = "axo", env = "AXONEME_CLUSTER", value_parser = name)]
    pub(crate) name: String,
}

#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Which addresses: slot N uses 10.(210+3N).0.0/16 and the two networks after it. Clusters side by side need different slots.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=14))]
    pub(crate) slot: u8,
    /// How many workers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) workers: u8,
    /// How pods are wired.
    #[arg(long, value_enum, default_value_t = Cni::Ptp)]
    pub(crate) cni: Cni,
    #[command(flatten)]
    pub(crate) proxy: KubeProxy,
    /// Node ports of services.
    #[arg(long, default_value = "30000-32767")]
    pub(crate) node_ports: String,
    /// Replace a cluster that is up.
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// How kube-proxy goes about it.
#[derive(Args, Clone)]
pub(crate) struct KubeProxy {
    /// kube-proxy's mode, one a worker; the last one holds for the rest.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "nftables,iptables")]
    pub(crate) proxy_modes: Vec<ProxyMode>,
    /// kube-proxy gives every connection to a Service the node's address (`masqueradeAll`).
    #[arg(long)]
    pub(crate) masquerade_all: bool,
}

/// By what kube-proxy sends connections to backends.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyMode {
    Nftables,
    Iptables,
    Ipvs,
}

impl ProxyMode {
    fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
        }
    }
}

impl KubeProxy {
    /// kube-proxy would say so, too, but in a log that nobody looks at while services do not answer.
    fn check_kernel(&self) -> Result<()> {
        if self.proxy_modes.contains(&ProxyMode::Ipvs) {
            // Fails where it is built in, too.
            let _ = Command::new("modprobe").args(["--quiet", "--all", "ip_vs", "ip_vs_rr"]).status();
            if !Path::new("/proc/net/ip_vs").exists() {
                bail!("the kernel has no IPVS (CONFIG_IP_VS), which kube-proxy needs in this mode");
            }
        }
        Ok(())
    }

    fn modes(&self) -> String {
        self.proxy_modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(" ")
    }
}

/// The CNI plugin of the pods.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Cni {
    /// A routed veth for each pod.
    Ptp,
    /// One bridge for all pods of a node.
    Bridge,
}

impl Cluster {
    pub(crate) fn run(self) -> Result<()> {
        match self.verb {
            Verb::Build => binaries::ensure().map(drop),
            Verb::Up(up) => up.run(),
            Verb::Down(which) => which.down(),
            Verb::Kubeconfig(which) => {
                println!("{}", which.kubeconfig()?.display());
                Ok(())
            }
            Verb::Kubectl { which, args } => {
                let mut kubectl = Command::new(binaries::ensure()?.join("bin/kubectl"));
                shell::run(kubectl.arg("--kubeconfig").arg(which.kubeconfig()?).args(args))
            }
            Verb::Load { which, files } => which.load(&files),
            Verb::Exec { which, node, command } => {
                let mut inside = which.script("exec.sh")?;
                shell::run(inside.arg(node).args(command))
            }
        }
    }
}

impl Up {
    pub(crate) fn run(&self) -> Result<()> {
        shell::need_root("a cluster")?;
        if !self.fresh && self.answers() {
            println!("cluster {} is up: KUBECONFIG={}", self.which.name, self.which.kubeconfig()?.display());
            return Ok(());
        }
        self.proxy.check_kernel()?;
        let built = binaries::ensure()?;
        self.which.down()?;
        let octet = 210 + 3 * self.slot;
        let workers = (1..=self.workers).map(|n| format!("node{n}")).collect::<Vec<_>>();
        let mut up = self.which.script("up.sh")?;
        up.env("BIN", built.join("bin"))
            .env("IMAGES", built.join("images"))
            .env("MANIFESTS", built.join("metallb.yaml"))
            .env("WORKERS", workers.join(" "))
            .env("PROXY_MODES", self.proxy.modes())
            .env("MASQUERADE_ALL", self.proxy.masquerade_all.to_string())
            .env("NODE_PORTS", &self.node_ports)
            .env(
                "CNI",
                match self.cni {
                    Cni::Ptp => "ptp",
                    Cni::Bridge => "bridge",
                },
            )
            .env("NET", format!("10.{octet}.0"))
            .env("PODNET", format!("10.{}", octet + 1))
            .env("SVCNET", format!("10.{}", octet + 2));
        if let Err(error) = shell::run(&mut up) {
            println!("logs are in {}; `cargo xtask cluster down` removes them", self.which.state()?.display());
            return Err(error);
        }
        println!("cluster {} is up: export KUBECONFIG={}", self.which.name, self.which.kubeconfig()?.display());
        Ok(())
    }

    fn answers(&self) -> bool {
        let whole = self.which.state().is_ok_and(|state| state.join("up").exists());
        let address = SocketAddr::from(([10, 210 + 3 * self.slot, 0, 2], 6443));
        whole && TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()
    }
}

impl Which {
    /// Where the cluster keeps its state: certificates, logs, the nodes' disks.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        Ok(paths::cache()?.join("clusters").join(&self.name))
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> Result<PathBuf> {
        let path = self.state()?.join("pki/admin.kubeconfig");
        if !path.exists() {
            bail!("cluster {} is not up: there is no {}", self.name, path.display());
        }
        Ok(path)
    }

    /// Kills every process of the cluster and removes what it made. Fine when there is nothing.
    pub(crate) fn down(&self) -> Result<()> {
        shell::need_root("a cluster")?;
        shell::run(&mut self.script("down.sh")?)
    }

    /// Loads archives that `cargo xtask images` made on every node.
    pub(crate) fn load(&self, files: &[PathBuf]) -> Result<()> {
        let files = files.iter().map(|file| file.canonicalize().with_context(|| format!("no file {}", file.display())));
        shell::run(self.script("load.sh")?.args(files.collect::<Result<Vec<_>>>()?))
    }

    /// A script of `e2e/cluster/`. It finds the settings that `up` was given in the state folder.
    pub(crate) fn script(&self, script: &str) -> Result<Command> {
        let mut command = Command::new(paths::root().join("e2e/cluster").join(script));
        command.env("NAME", &self.name).env("STATE", self.state()?);
        Ok(command)
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits =
        !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("1 to 4 lower case letters and digits".to_owned()) }
}
