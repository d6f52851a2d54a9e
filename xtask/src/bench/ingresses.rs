//! Ingresses by the thousand on a cluster of their own, with what users install. What is measured is in `e2e/benches/ingresses`.

use anyhow::Result;

use crate::{
    cluster::{Cni, KubeProxy, ProxyMode, Up, Which},
    e2e, images, shell,
};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Ingresses on a cluster, added one by one.
    #[arg(long, default_value_t = 3000)]
    count: usize,
    /// Give each an address of its own (dedicated), or one to all (shared).
    #[arg(long, default_value = "dedicated", value_parser = ["dedicated", "shared"])]
    mode: String,
    /// Ingresses of another class, after that.
    #[arg(long, default_value_t = 5000)]
    foreign: usize,
    /// Certificates that rotate, after that.
    #[arg(long, default_value_t = 30)]
    rotations: usize,
    /// Leave the cluster up, and take one that is up.
    #[arg(long)]
    keep: bool,
}

impl Options {
    pub(super) fn run(&self) -> Result<()> {
        let which = Which { name: "bnch".to_owned() };
        let archives = images::make(super::PROFILE)?;
        let outcome = self.on_cluster(&which, &archives);
        if !self.keep {
            which.down()?;
        }
        outcome
    }

    fn on_cluster(&self, which: &Which, archives: &[std::path::PathBuf]) -> Result<()> {
        let up = Up {
            which: which.clone(),
            slot: 6,
            workers: 1,
            cni: Cni::Ptp,
            proxy: KubeProxy { proxy_modes: vec![ProxyMode::Nftables], masquerade_all: false },
            // Two for each Ingress with an address of its own, and none of the proxy's ports.
            node_ports: "20001-32767".to_owned(),
            fresh: !self.keep,
        };
        up.run()?;
        which.load(archives)?;
        e2e::install(which)?;
        let mut cargo = shell::cargo();
        cargo.args(["bench", "--profile", "dev", "--package", "axoneme-e2e", "--features", "cluster"]);
        cargo.args(["--bench", "ingresses", "--", "--mode", &self.mode]);
        for (option, value) in [("--count", self.count), ("--foreign", self.foreign), ("--rotations", self.rotations)] {
            cargo.args([option, &value.to_string()]);
        }
        shell::run(e2e::tell(&mut cargo, which)?)
    }
}
