//! `cargo xtask soak`: the long variants of tests, which are too long to run with each change.
//!
//! They are ordinary tests with a name that begins with `soak_`, ignored unless asked for. Each has a short variant in
//! `cargo xtask test` that does the same less often.

use anyhow::Result;

use crate::{embed, setup, shell, stages::Stages};

/// The packages that have such tests.
const PACKAGES: [&str; 2] = ["axoneme-node", "axonctl"];

/// Runs them, and counts.
pub(crate) fn soak() -> Result<()> {
    shell::need_root("soaking")?;
    let mut stages = Stages::default();
    if stages.run("setup", || setup::ensure(true, false)) && stages.run("bpf and module", embed::build) {
        let mut cargo = shell::cargo();
        cargo.args(["test", "--locked", "--no-fail-fast"]);
        cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
        // One after another: each measures what it does to its own load.
        cargo.args(["--tests", "--", "--ignored", "--nocapture", "--test-threads", "1", "soak_"]);
        stages.command("soak", &mut cargo);
    }
    stages.finish()
}
