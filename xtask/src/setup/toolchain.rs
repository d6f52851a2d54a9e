//! The compiler and linker of the eBPF programs.

use std::process::Command;

use anyhow::{Result, bail};

use super::apt;
use crate::{bpf, shell};

/// Debian's compiler with the source of its library where the distribution has it, else a nightly of rustup.
pub(super) fn compiler() -> Result<()> {
    if apt::offers("rust-web-src") {
        return apt::install(&["rustc-web", "rust-web-src"]);
    }
    if shell::has("rustup") {
        let mut rustup = Command::new("rustup");
        return shell::run(rustup.args([
            "toolchain",
            "install",
            "nightly",
            "--profile=minimal",
            "--component=rust-src",
        ]));
    }
    bail!(
        "neither Debian's rustc-web nor rustup is to be had: install one, or set AXONEME_BPF_OBJECT to a built object"
    )
}

/// bpf-linker must know the LLVM of the compiler: it is built against the same major version.
pub(super) fn linker() -> Result<()> {
    const LLVM: &str = "/usr/lib/llvm-22";
    if !std::path::Path::new(LLVM).join("bin/llvm-config").exists() {
        apt::install(&["llvm-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev"])?;
    }
    let mut cargo = shell::cargo();
    cargo
        .env("LLVM_PREFIX", LLVM)
        .env("RUSTFLAGS", format!("-L {LLVM}/lib"))
        .env_remove("CARGO_TARGET_DIR")
        .args(["install", "bpf-linker", "--locked", "--quiet", "--version", bpf::LINKER_VERSION])
        .args(["--no-default-features", "--features", "llvm-22", "--root"]);
    shell::run(cargo.arg(bpf::linker_root()?))
}
