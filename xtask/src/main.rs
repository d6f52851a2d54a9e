//! `cargo xtask`: the tasks of this repository. The Makefile is a thin list of names for them.
//!
//! Each task is one module with a clap `Args` (or `Subcommand`) struct and a `run` function.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod archive;
mod bench;
mod bpf;
mod charts;
mod ci;
mod cluster;
mod crds;
mod demo;
mod descriptors;
mod documents;
mod e2e;
mod embed;
mod fuzz;
mod images;
mod kernels;
mod layering;
mod module;
mod paths;
mod setup;
mod shell;
mod soak;
mod stages;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this repository", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Bench(bench::Bench),
    /// Build the eBPF programs to target/bpf/axoneme.o.
    Bpf,
    /// Lint and test: what must hold before a change is merged.
    Ci,
    Cluster(cluster::Cluster),
    Crds(crds::Crds),
    Demo(demo::Demo),
    Descriptors(descriptors::Descriptors),
    E2e(e2e::E2e),
    Fuzz(fuzz::Fuzz),
    Images(images::Images),
    Kernels(kernels::Kernels),
    /// Formatting, clippy, generated files, charts.
    Lint,
    /// Build the module for Envoy to target/module/.
    Module,
    /// Print where this repository keeps what it downloads and builds.
    Paths,
    Setup(setup::Setup),
    /// Run the tests that take too long for each change.
    Soak,
    /// Run every test: unit, integration, end to end.
    Test,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Bench(task) => task.run(),
        Task::Bpf => embed::programs().map(drop),
        Task::Ci => ci::ci(),
        Task::Cluster(task) => task.run(),
        Task::Crds(task) => task.run(),
        Task::Demo(task) => task.run(),
        Task::Descriptors(task) => task.run(),
        Task::E2e(task) => task.run(),
        Task::Fuzz(task) => task.run(),
        Task::Images(task) => task.run(),
        Task::Kernels(task) => task.run(),
        Task::Lint => ci::lint(),
        Task::Module => embed::module().map(drop),
        Task::Paths => paths::print(),
        Task::Setup(task) => task.run(),
        Task::Soak => soak::soak(),
        Task::Test => ci::test(),
    }
}
