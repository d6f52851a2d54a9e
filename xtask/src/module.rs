//! The module that Envoy loads.

use std::path::PathBuf;

use anyhow::Result;

use crate::{paths, shell};

/// What cargo calls it, and the loader's build script looks for.
pub(crate) const FILE: &str = "libaxoneme_envoy_module.so";

/// Builds it. Returns its path among what cargo built.
pub(crate) fn build() -> Result<PathBuf> {
    let target_dir = paths::target().join("module-build");
    let mut cargo = shell::cargo();
    cargo.args(["build", "--locked", "--profile", "module", "--package", "axoneme-envoy-module", "--target-dir"]);
    // Flags that are meant for programs, such as to link statically, are wrong for what another program loads.
    cargo.arg(&target_dir).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut cargo)?;
    Ok(target_dir.join("module").join(FILE))
}
