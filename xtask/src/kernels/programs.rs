//! The programs of a machine: our tests, the tools that they run, and the libraries of both.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cpio::Archive;
use crate::{paths, shell};

/// What the laboratory and the tests run. Busybox is for the rest.
const TOOLS: &str = "bash bpftool cat conntrack cut dash env find grep head hostname ip ls mkdir mount mv nft nsenter nstat pgrep prlimit rm sed \
                     seq setpriv sleep sort ss sysctl tc timeout umount unshare wc xargs";
/// Those that only some tests want.
const MORE_TOOLS: &str = "iptables ip6tables iptables-nft ip6tables-nft iptables-nft-restore ip6tables-nft-restore iptables-legacy \
                          ip6tables-legacy iptables-legacy-restore ip6tables-legacy-restore ipset ipvsadm wg";

/// What runs on other kernels.
pub(super) struct Programs {
    /// The tests.
    tests: Vec<PathBuf>,
    /// What tests start, which they know by its path on this machine.
    started: Vec<PathBuf>,
}

/// Builds the tests.
pub(super) fn build() -> Result<Programs> {
    let mut cargo = shell::cargo();
    cargo.args([
        "test",
        "--locked",
        "--no-run",
        "--package",
        "axoneme-node",
        "--test",
        "programs",
        "--test",
        "datapath",
    ]);
    let printed = shell::output(cargo.args(["--message-format", "json-render-diagnostics"]))?;
    let mut programs = Programs { tests: Vec::new(), started: Vec::new() };
    for line in printed.lines() {
        let message: Value = serde_json::from_str(line).with_context(|| format!("cargo printed {line}"))?;
        let Some(file) = message["executable"].as_str() else { continue };
        let is_test = message["target"]["kind"][0] == "test";
        if is_test { &mut programs.tests } else { &mut programs.started }.push(PathBuf::from(file));
    }
    let Programs { tests, .. } = &programs;
    if tests.len() == 2 { Ok(programs) } else { bail!("cargo built {tests:?} in place of two tests") }
}

/// Packs the tests, as `/tests/NAME`, and what they start, all without what only a debugger wants.
pub(super) fn pack_tests(programs: &Programs, archive: &mut Archive) -> Result<()> {
    for test in &programs.tests {
        let name = test.file_name().context("no name")?.to_string_lossy();
        let name = name.split('-').next().unwrap_or_default();
        archive.file(&format!("tests/{name}"), &stripped(test)?)?;
    }
    for program in &programs.started {
        archive.file(&program.to_string_lossy(), &stripped(program)?)?;
    }
    Ok(())
}

fn stripped(program: &Path) -> Result<Vec<u8>> {
    let work = tempfile::tempdir()?;
    let stripped = work.path().join("stripped");
    shell::run(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

/// Packs the tools, busybox for what is none of them, and all libraries.
pub(super) fn pack_tools(programs: &Programs, archive: &mut Archive) -> Result<()> {
    let mut libraries = BTreeMap::new();
    for program in programs.tests.iter().chain(&programs.started) {
        libraries.extend(libraries_of(program)?);
    }
    for tool in TOOLS.split_whitespace().chain(MORE_TOOLS.split_whitespace()) {
        let Some(file) = which(tool) else {
            if MORE_TOOLS.split_whitespace().any(|it| it == tool) {
                continue;
            } else {
                bail!("there is no {tool}, which the tests run")
            }
        };
        archive.file(&format!("bin/{tool}"), &fs::read(&file)?)?;
        libraries.extend(libraries_of(&file)?);
    }
    for library in extensions_of_iptables() {
        libraries.insert(library.clone(), library);
    }
    for (name, file) in libraries {
        archive.file(&name.to_string_lossy(), &fs::read(&file)?)?;
    }
    archive.link("bin/sh", "dash")?;
    // `/bin` is looked through first.
    let busybox = which("busybox").context("there is no busybox")?;
    archive.file("sbin/busybox", &fs::read(&busybox)?)?;
    for tool in shell::output(Command::new(busybox).arg("--list"))?.lines().filter(|tool| *tool != "busybox") {
        archive.link(&format!("sbin/{tool}"), "busybox")?;
    }
    Ok(())
}

/// By the path at which a program looks for it. Busybox, for one, has none.
fn libraries_of(program: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let printed = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    let libraries =
        String::from_utf8_lossy(&printed.stdout).lines().filter_map(path).map(|it| (it.clone(), it)).collect();
    Ok(libraries)
}

fn which(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(tool)).find(|file| file.is_file())
}

/// iptables opens them by name.
fn extensions_of_iptables() -> Vec<PathBuf> {
    let folder = format!("/usr/lib/{}-linux-gnu/xtables", env::consts::ARCH);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// Where archives of machines are put together.
pub(super) fn work_folder() -> Result<PathBuf> {
    let folder = paths::target().join("kernels");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
