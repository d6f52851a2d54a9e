//! `cargo xtask bench`: what the redirect costs, and how long an edit takes, as ratios within one run.
//!
//! Every way to the proxy is measured against the same Envoy, backend and client, in turns, round after round. A shared
//! machine drifts from minute to minute; the ratio of two neighbours does not.

mod edits;
mod load;
mod report;
mod scene;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use axoneme_testnet::mesh::Programs;

use self::{load::Load, report::Series, scene::Scene};
use crate::{bpf, images, paths, setup, shell};

/// Measure the redirect against its rivals, the time of an edit, and memory.
#[derive(clap::Args)]
pub(crate) struct Bench {
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
    /// Take unoptimised programs: quick to build, to work on the bench itself.
    #[arg(long)]
    dev: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        shell::need_root("the bench")?;
        let (programs, echo) = build(self.dev)?;
        let scene = Scene::build(&programs, &echo).context("build the scene of the bench")?;
        let ways = scene.ways();
        let load = Load { requests: self.requests, connections: self.connections };
        let mut series: Vec<_> = ways.iter().map(|way| Series::new(way.name)).collect();
        for round in 0..=self.rounds {
            for (way, series) in ways.iter().zip(&mut series) {
                let sample = scene.client.enter(|| load.run(way.address))?.with_context(|| way.name.to_owned())?;
                // The first round warms caches, connection pools and the branch predictor.
                if round > 0 {
                    series.add(sample);
                }
            }
        }
        let memory = scene.memory()?;
        let idle = scene.idle(Duration::from_secs(5))?;
        let edits = edits::time(&scene, self.edits).context("time edits")?;
        report::print(&series, &edits, &memory, &idle);
        Ok(())
    }
}

/// Installs and builds what is missing; by default optimised, as the end-to-end tests have it.
fn build(dev: bool) -> Result<(Programs, PathBuf)> {
    setup::ensure(false, false)?;
    let folder = if dev {
        bpf::build()?;
        shell::run(shell::cargo().args(["build", "--quiet", "--package", "axonctl", "--package", "axoneme-echo"]))?;
        paths::target().join("debug")
    } else {
        images::build("e2e", ["axonctl", "axoneme-echo"])?
    };
    let programs = Programs { axonctl: folder.join("axonctl"), envoy: setup::envoy::path()? };
    Ok((programs, folder.join("axoneme-echo")))
}
