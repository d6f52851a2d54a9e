//! Running other programs, with errors that say which one failed and how.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Runs `command` with our own stdin, stdout and stderr.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", text(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", text(command));
    }
    Ok(())
}

/// What `command` prints, without the white space around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("cannot start {}", text(command)))?;
    if !out.status.success() {
        bail!("{} ended with {}: {}", text(command), out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Whether a program of this name is in `$PATH`.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The cargo that runs us, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root());
    command
}

/// Fails with advice unless we are root.
pub(crate) fn need_root(what: &str) -> Result<()> {
    let ours = std::fs::metadata("/proc/self").context("cannot read /proc/self")?;
    if std::os::unix::fs::MetadataExt::uid(&ours) != 0 {
        bail!(
            "{what} needs root: network namespaces, cgroups and mounts. Try `sudo -E env PATH=$PATH cargo xtask ...`"
        );
    }
    Ok(())
}

/// Moves a finished folder or file into its place, so that what is there is always whole.
pub(crate) fn put(from: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        std::fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    std::fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

fn text(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
