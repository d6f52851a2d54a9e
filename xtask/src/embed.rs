//! What the node loader carries inside: the eBPF programs (`cargo xtask bpf`) and Envoy's module (`cargo xtask module`). Its
//! build script wants both.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{bpf, module};

/// Builds both.
pub(crate) fn build() -> Result<()> {
    bpf::build()?;
    module::build()?;
    Ok(())
}

/// Copies when the content differs only, so that the loader is not rebuilt for nothing. Gives `place`.
pub(crate) fn install(built: &Path, place: &Path) -> Result<PathBuf> {
    let bytes = fs::read(built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(place).ok().as_deref() != Some(&bytes) {
        let folder = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::write(place, &bytes).with_context(|| format!("write {}", place.display()))?;
    }
    println!("{} ({} bytes)", place.display(), bytes.len());
    Ok(place.to_owned())
}
