//! What the node loader carries inside, where its build script looks for it: the eBPF programs in `target/bpf/` (`cargo xtask bpf`)
//! and Envoy's module in `target/module/` (`cargo xtask module`).

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{bpf, module, paths};

/// Builds both.
pub(crate) fn build() -> Result<()> {
    programs()?;
    module()?;
    Ok(())
}

/// Builds the eBPF programs, unless `AXONEME_BPF_OBJECT` names some that were built elsewhere. Returns their path.
pub(crate) fn programs() -> Result<PathBuf> {
    match env::var_os("AXONEME_BPF_OBJECT") {
        Some(elsewhere) => Ok(PathBuf::from(elsewhere)),
        None => install(&bpf::build()?, &paths::target().join("bpf/axoneme.o")),
    }
}

/// Builds the module, unless `AXONEME_ENVOY_MODULE_FILE` names one that was built elsewhere. Returns its path.
pub(crate) fn module() -> Result<PathBuf> {
    match env::var_os("AXONEME_ENVOY_MODULE_FILE") {
        Some(elsewhere) => Ok(PathBuf::from(elsewhere)),
        None => install(&module::build()?, &paths::target().join("module").join(module::FILE)),
    }
}

/// Copies when the content differs only, so that the loader is not rebuilt for nothing. Gives `place`.
fn install(built: &Path, place: &Path) -> Result<PathBuf> {
    let bytes = fs::read(built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(place).ok().as_deref() != Some(&bytes) {
        let folder = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::write(place, &bytes).with_context(|| format!("write {}", place.display()))?;
    }
    println!("{} ({} bytes)", place.display(), bytes.len());
    Ok(place.to_owned())
}
