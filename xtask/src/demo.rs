//! `cargo xtask demo`: the whole mesh on this machine, without Kubernetes, shown by requests from everywhere.
//!
//! A node, its pods and a host outside are network namespaces; what runs in them is the real thing: `axonctl up` on the example
//! of the articles, Envoy, eBPF. Nothing of the machine outside of them is touched, and that is checked at the end.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axoneme_testnet::{
    Layout,
    article::Article,
    difference,
    mesh::{Mesh, Programs},
};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{embed, paths, setup, shell};

mod keep;
mod questions;
mod table;

/// Run the whole mesh on this machine, ask it from everywhere, and show the answers.
#[derive(Args)]
pub(crate) struct Demo {
    /// Stay up afterwards to play with it, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Put the pods behind a bridge in place of a routed veth each.
    #[arg(long)]
    bridge: bool,
}

impl Demo {
    pub(crate) fn run(self) -> Result<()> {
        shell::need_root("the demo")?;
        let interrupt = interrupt()?;
        let programs = build()?;
        let start = Instant::now();
        let layout = if self.bridge { Layout::Bridge } else { Layout::Routed };
        let machine = footprint()?;
        println!("\nThe stage: a node with pods and a host outside, as network namespaces.");
        let stage = Article::stage("demo", layout, &programs.echo)?;
        print_stage(&stage);
        let before = stage.node.footprint()?;

        println!("\nThe mesh: axonctl up examples/article, as a process of the node.");
        let up = Instant::now();
        let run_dir = tempfile::Builder::new().prefix("axoneme-run-").tempdir()?;
        let mut mesh = Mesh::up(&stage.node, &programs.mesh, stage.folder(), run_dir.path())?;
        let status = mesh.wait_for("the mesh to serve the example", Duration::from_secs(30), |status| {
            interrupt.load(Ordering::Relaxed) || questions::served(status)
        })?;
        ensure!(!interrupt.load(Ordering::Relaxed), "interrupted");
        println!("  serving after {:.1} s", up.elapsed().as_secs_f32());

        println!("\nThe requests:");
        let wrong = table::show(&questions::all(&stage, &status)?, &programs.echo, &interrupt)?;
        println!("\n{:.1} s from nothing to here.", start.elapsed().as_secs_f32());
        if self.keep {
            keep::until_interrupted(&stage, &mesh, &status, &interrupt)?;
        }

        let (ended, log) = mesh.stop(Duration::from_secs(10)).context("Ctrl-C did not end axonctl up")?;
        ensure!(ended.success(), "axonctl up ended with {ended}:\n{log}");
        let after = stage.node.footprint()?;
        ensure!(before == after, "axonctl up left something on its node.\n{}", difference(&before, &after));
        drop(stage);
        let left = footprint()?;
        ensure!(machine == left, "the demo left something on the machine.\n{}", difference(&machine, &left));
        println!("Ended. No namespace, link, rule, route, nftables table, pin or process is left.");
        if wrong > 0 {
            bail!("{wrong} answers were not as expected. axonctl up said:\n{log}");
        }
        Ok(())
    }
}

/// Set by Ctrl-C, so that the demo ends in order at any time: everything in it is in process groups of its own.
fn interrupt() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot handle Ctrl-C")?;
    }
    Ok(flag)
}

struct Built {
    mesh: Programs,
    echo: PathBuf,
}

/// Installs and builds what is missing.
fn build() -> Result<Built> {
    setup::ensure(false, false)?;
    embed::build()?;
    shell::run(shell::cargo().args(["build", "--quiet", "--package", "axonctl", "--package", "axoneme-echo"]))?;
    let program = |name| paths::target().join("debug").join(name);
    let mesh = Programs { axonctl: program("axonctl"), envoy: setup::envoy::path()? };
    Ok(Built { mesh, echo: program("axoneme-echo") })
}

fn print_stage(stage: &Article) {
    println!("  {:<18} {}", "node1", stage.node.address);
    for (name, backend) in &stage.backends {
        println!("  {:<18} {}", format!("pod {name}"), backend.pod.address);
    }
    println!("  {:<18} {}", "pod client2", stage.client.address);
    println!("  {:<18} {}", "outside", stage.outside.address);
}

/// What a demo could leave on the machine itself: rules, tables of nftables, labs of this process.
fn footprint() -> Result<String> {
    let own = std::process::id();
    let script = "ip rule; ip -6 rule; nft list tables; ip -o link | grep -c axoneme
        for at in /sys/fs/cgroup /sys/fs/cgroup/unified; do ls $at | grep \"^axoneme-lab-$1-\"; done; ls /sys/fs/bpf 2>&1; true";
    shell::output(std::process::Command::new("sh").args(["-c", script, "sh", &own.to_string()]))
}
