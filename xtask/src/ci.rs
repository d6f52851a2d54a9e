//! `cargo xtask lint`, `test` and `ci`: what must hold before a change is merged.

use std::{num::NonZero, thread};

use anyhow::Result;

use crate::{charts, cluster::binaries, crds, documents, embed, fuzz::Fuzz, layering, setup, shell, stages::Stages};

/// Formatting, lints, generated files, documents, charts.
pub(crate) fn lint() -> Result<()> {
    let mut stages = Stages::default();
    lint_stages(&mut stages);
    stages.finish()
}

/// Everything that can be tested on this machine; needs root.
pub(crate) fn test() -> Result<()> {
    shell::need_root("testing")?;
    let mut stages = Stages::default();
    test_stages(&mut stages);
    stages.finish()
}

/// Both.
pub(crate) fn ci() -> Result<()> {
    shell::need_root("testing")?;
    let mut stages = Stages::default();
    if stages.run("setup", || setup::ensure(true, false)) {
        lint_stages(&mut stages);
        test_stages(&mut stages);
        stages.run("fuzz", || Fuzz::CI.run());
    }
    stages.finish()
}

fn lint_stages(stages: &mut Stages) {
    stages.command("format", shell::cargo().args(["fmt", "--all", "--check"]));
    // The loader carries the eBPF object and Envoy's module inside, so these come first.
    if stages.run("bpf and module", embed::build) {
        let mut clippy = shell::cargo();
        clippy.args([
            "clippy",
            "--all-targets",
            "--locked",
            "--features",
            "axoneme-e2e/cluster",
            "--",
            "-D",
            "warnings",
        ]);
        stages.command("clippy", &mut clippy);
    }
    stages.run("layering", layering::check);
    stages.run("tests that documents name", documents::check);
    stages.run("generated CRDs", || crds::Crds { check: true }.run());
    if shell::has("cargo-deny") {
        stages.command(
            "licences and bans",
            shell::cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]),
        );
    } else {
        println!("\nnot checked, for want of cargo-deny: licences and bans");
    }
    if let Ok(true) = binaries::there() {
        stages.run("charts", charts::check);
    }
}

fn test_stages(stages: &mut Stages) {
    if stages.run("setup", || setup::ensure(true, false)) && stages.run("bpf and module", embed::build) {
        let mut cargo = shell::cargo();
        cargo.args(["test", "--locked", "--no-fail-fast"]).env("RUST_TEST_THREADS", threads().to_string());
        stages.command("unit and integration", &mut cargo);
        stages.command("end to end", shell::cargo().args(["xtask", "e2e"]));
    }
}

/// Tests at a time. Those of labs wait for sockets and timers more than they compute, so more of them than cores are worth it:
/// three for each halve the longest binary's time.
fn threads() -> usize {
    3 * thread::available_parallelism().map_or(1, NonZero::get)
}
