//! The eBPF programs.
//!
//! The target is a tier 3 one: the compiler needs the source of `core` and unstable options. Two compilers will do, whichever is
//! there: Debian's `rustc-web` with `rust-web-src`, or a nightly of rustup with the component `rust-src`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::paths;

/// The linker's version: it must know the LLVM of the compilers above.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

const TARGET: &str = "bpfel-unknown-none";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Builds the object. Returns its path among what cargo built.
pub(crate) fn build() -> Result<PathBuf> {
    let target_dir = paths::target().join("bpf-build");
    let mut cargo = compiler()?;
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
        format!("-Clinker={}", linker()?.display()),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    let status = cargo
        .current_dir(paths::root())
        .args(["build", "--release", "--package=axoneme-bpf", "-Zbuild-std=core", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The linker does its own link-time optimisation, on LLVM bitcode.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("the eBPF programs did not build: {status}");
    }
    Ok(target_dir.join(TARGET).join("release/axoneme-bpf"))
}

/// Cargo with a compiler that can build `core` for the kernel.
fn compiler() -> Result<Command> {
    if has_source_of_core(Command::new(DEBIAN_RUSTC)) {
        let mut cargo = Command::new("cargo");
        cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
        return Ok(cargo);
    }
    let mut nightly = Command::new("rustup");
    nightly.args(["run", "nightly", "rustc"]);
    if has_source_of_core(nightly) {
        let mut cargo = Command::new("rustup");
        cargo.args(["run", "nightly", "cargo"]).env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        return Ok(cargo);
    }
    bail!(
        "no compiler that can build for the kernel. `cargo xtask setup` installs one; by hand it is one of\n  \
         apt-get install rustc-web rust-web-src\n  rustup toolchain install nightly --component rust-src"
    )
}

/// Whether one of them is there.
pub(crate) fn has_compiler() -> bool {
    compiler().is_ok()
}

fn has_source_of_core(mut rustc: Command) -> bool {
    let Ok(output) = rustc.args(["--print", "sysroot"]).output() else { return false };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    output.status.success() && sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
}

/// The folder that `cargo xtask setup` installs `bpf-linker` into, as `cargo install --root` wants it.
pub(crate) fn linker_root() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("bpf-linker-{LINKER_VERSION}")))
}

fn linker() -> Result<PathBuf> {
    let ours = linker_root()?.join("bin/bpf-linker");
    if ours.exists() {
        return Ok(ours);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|dir| dir.join("bpf-linker")).find(|file| file.exists());
    found.with_context(|| {
        format!(
            "no bpf-linker. `cargo xtask setup` installs it; by hand, with LLVM 22 of Debian, it is\n  \
             LLVM_PREFIX=/usr/lib/llvm-22 RUSTFLAGS=\"-L /usr/lib/llvm-22/lib\" cargo install bpf-linker \
             --version {LINKER_VERSION} --locked --no-default-features --features llvm-22 --root {}",
            ours.parent().and_then(Path::parent).unwrap_or(Path::new(".")).display()
        )
    })
}
