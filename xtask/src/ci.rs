//! `cargo xtask lint`, `test` and `ci`: what must hold before a change is merged.

use std::process::Command;

use anyhow::Result;

use crate::{cluster::binaries, crds, embed, fuzz::Fuzz, layering, paths, setup, shell, stages::Stages};

/// Formatting, lints, generated files, charts.
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
        stages.run("charts", charts);
    }
}

fn test_stages(stages: &mut Stages) {
    if stages.run("setup", || setup::ensure(true, false)) && stages.run("bpf and module", embed::build) {
        stages.command("unit and integration", shell::cargo().args(["test", "--locked", "--no-fail-fast"]));
        stages.command("end to end", shell::cargo().args(["xtask", "e2e"]));
    }
}

fn charts() -> Result<()> {
    let mut helm = Command::new(binaries::ensure()?.join("bin/helm"));
    helm.current_dir(paths::root()).args(["lint", "--strict", "--quiet", "charts/axoneme", "charts/axoneme-crds"]);
    shell::run(&mut helm)
}
