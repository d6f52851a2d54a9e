//! Where the tasks find the repository and keep what they download and build.
//!
//! Everything that is expensive to make lives in one cache folder outside the checkout, so a second clone starts warm.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout. Cargo says which one it runs: checkouts that share a target folder share this program.
pub(crate) fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// `$AXONEME_CACHE`, else `$XDG_CACHE_HOME/axoneme`, else `~/.cache/axoneme`.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("AXONEME_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = base.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep the cache")?;
    Ok(base.join("axoneme"))
}

/// The folder of build results: `$CARGO_TARGET_DIR`, else `target` of the checkout.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn print() -> Result<()> {
    println!("checkout {}\ncache    {}\ntarget   {}", root().display(), cache()?.display(), target().display());
    Ok(())
}
