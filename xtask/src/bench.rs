//! `cargo xtask bench`: what the redirect costs, and how long an edit takes, as ratios within one run; how long a review of the
//! webhook takes; and how soon all is well after a config that kills Envoy.
//!
//! Every way to the proxy is measured against the same Envoy, backend and client, in turns, round after round. A shared
//! machine drifts from minute to minute; the ratio of two neighbours does not.

mod crash;
mod crowd;
mod edits;
mod hosts;
mod ingresses;
mod load;
mod programs;
mod redirect;
mod report;
mod scene;
mod sidecars;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use axoneme_testnet::mesh::Programs;

use self::{load::Load, scene::Scene};
use crate::{embed, images, paths, setup, shell};

/// Measure the webhook, the redirect against its rivals, the time of an edit, memory, many hosts, many pods, and a crash of Envoy.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Measure only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Rounds; each measures every way once.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Requests on one connection, per way and round.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Connections with one request each, per way and round.
    #[arg(long, default_value_t = 300)]
    connections: usize,
    /// Edits of a file, each timed until it is served.
    #[arg(long, default_value_t = 40)]
    edits: usize,
    /// Hosts of one address, among which edits are timed.
    #[arg(long, value_delimiter = ',', default_value = "100,10000")]
    hosts: Vec<usize>,
    /// Configs that kill Envoy, one after another.
    #[arg(long, default_value_t = 5)]
    crashes: usize,
    #[command(flatten)]
    ingresses: ingresses::Options,
    /// Take unoptimised programs: quick to build, to work on the bench itself.
    #[arg(long)]
    dev: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Reviews by the operator's webhook.
    Webhook,
    /// Requests through the redirect and past it, edits, memory.
    Redirect,
    /// What others see of a config that kills Envoy.
    Crash,
    /// One edit among a hundred and among ten thousand hosts of one address.
    Hosts,
    /// A node with ten thousand frontends and a thousand pods.
    Node,
    /// Ingresses on a cluster, one by one; only when it is asked for, because it takes many minutes.
    Ingresses,
}

/// As a release, but linked in seconds.
const PROFILE: &str = "e2e";

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        if self.only == Some(Part::Ingresses) {
            return self.ingresses.run();
        }
        let wants = |part| self.only.is_none_or(|only| only == part);
        if wants(Part::Webhook) {
            own("axoneme-operator", "webhook", self.dev)?;
        }
        if wants(Part::Redirect) {
            self.redirect()?;
        }
        if wants(Part::Hosts) {
            self.hosts()?;
        }
        if wants(Part::Node) {
            shell::need_root("the bench of a node")?;
            setup::ensure(false, false)?;
            embed::build()?;
            own("axoneme-node", "node", self.dev)?;
        }
        if wants(Part::Crash) { self.crash() } else { Ok(()) }
    }

    fn hosts(&self) -> Result<()> {
        shell::need_root("the bench of hosts")?;
        let (programs, echo) = build(self.dev)?;
        let measure = |hosts| hosts::time(&programs, &echo, hosts, self.edits).context(format!("{hosts} hosts"));
        hosts::print(&self.hosts.iter().copied().map(measure).collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    fn crash(&self) -> Result<()> {
        shell::need_root("the bench of a crash")?;
        let (programs, echo) = build(self.dev)?;
        let mut scene = Scene::build(&programs, &echo).context("build the scene of the bench")?;
        report::print_crashes(&crash::time(&mut scene, self.crashes)?);
        Ok(())
    }

    fn redirect(&self) -> Result<()> {
        shell::need_root("the bench of the redirect")?;
        let (programs, echo) = build(self.dev)?;
        let scene = Scene::build(&programs, &echo).context("build the scene of the bench")?;
        let load = Load { requests: self.requests, connections: self.connections };
        redirect::run(&scene, load, self.rounds, self.edits)
    }
}

/// A bench that is a package's own, for it takes the package as a library.
fn own(package: &str, bench: &str, dev: bool) -> Result<()> {
    let mut cargo = if dev {
        let mut cargo = shell::cargo();
        cargo.args(["bench", "--profile", "dev"]);
        cargo
    } else {
        images::cargo("bench", PROFILE)?
    };
    shell::run(cargo.args(["--package", package, "--bench", bench]))
}

/// Installs and builds what is missing; by default optimised, as the end-to-end tests have it.
fn build(dev: bool) -> Result<(Programs, PathBuf)> {
    setup::ensure(false, false)?;
    let folder = if dev {
        embed::build()?;
        shell::run(shell::cargo().args(["build", "--quiet", "--package", "axonctl", "--package", "axoneme-echo"]))?;
        paths::target().join("debug")
    } else {
        images::build(PROFILE, ["axonctl", "axoneme-echo"])?
    };
    let programs = Programs { axonctl: folder.join("axonctl"), envoy: setup::envoy::path()? };
    Ok((programs, folder.join("axoneme-echo")))
}
