//! Programs of this repository, for labs to run.

use std::{
    env, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{Error, Result};

/// The path of a program of this workspace, built if need be, with the profile of the caller.
///
/// Cargo tells a test only the programs of its own package; this asks Cargo for those of another, so that one test can be
/// run with nothing prepared.
///
/// # Errors
/// If Cargo cannot be run or the program does not compile.
pub fn built(package: &str) -> Result<PathBuf> {
    let failed = || format!("build {package}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // `target/debug/deps/some_test-1234` and `target/debug/xtask` both lie below the folder of the profile.
    let own = env::current_exe().map_err(Error::io(failed()))?;
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let folder = folder.ok_or_else(|| Error::io(failed())(io::ErrorKind::NotFound.into()))?;
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        package,
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
    ]);
    // What Cargo tells this test of its own package is not for the build: some build scripts run again when it changes, and
    // everything on top of them with it.
    let of_package = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| of_package(name)) {
        command.env_remove(name);
    }
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.stdin(Stdio::null()).status().map_err(Error::io(failed()))?;
    if !status.success() {
        return Err(Error::io(failed())(io::Error::other(format!("cargo ended with {status}"))));
    }
    Ok(folder.join(package))
}

/// The Envoy that `cargo xtask setup` installs, or the one that `$AXONEME_ENVOY` names.
///
/// # Errors
/// If it is not there.
pub fn envoy() -> Result<PathBuf> {
    let named = env::var_os("AXONEME_ENVOY").map(PathBuf::from);
    let cache = || {
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default();
        env::var_os("AXONEME_CACHE").map_or_else(|| base.join("axoneme"), PathBuf::from)
    };
    let path = named.unwrap_or_else(|| cache().join("envoy-1.40.0/envoy"));
    if path.exists() {
        return Ok(path);
    }
    let missing = io::Error::new(io::ErrorKind::NotFound, "there is no Envoy: `cargo xtask setup` installs it");
    Err(Error::io(path.display().to_string())(missing))
}
