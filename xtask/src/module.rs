//! The module that Envoy loads, built to `target/module/`.

use std::{env, path::PathBuf};

use anyhow::Result;

use crate::{embed, paths, shell};

/// What the loader's build script looks for.
const FILE: &str = "libaxoneme_envoy_module.so";

/// Builds the module, unless `AXONEME_ENVOY_MODULE_FILE` names one that was built elsewhere. Returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    if let Some(module) = env::var_os("AXONEME_ENVOY_MODULE_FILE") {
        return Ok(PathBuf::from(module));
    }
    let target_dir = paths::target().join("module-build");
    let mut cargo = shell::cargo();
    cargo.args(["build", "--locked", "--profile", "module", "--package", "axoneme-envoy-module", "--target-dir"]);
    // Flags that are meant for programs, such as to link statically, are wrong for what another program loads.
    cargo.arg(&target_dir).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut cargo)?;
    embed::install(&target_dir.join("module").join(FILE), &paths::target().join("module").join(FILE))
}
