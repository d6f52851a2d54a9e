//! Puts the eBPF object where the loader embeds it from.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=AXONEME_BPF_OBJECT");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let object = env::var_os("AXONEME_BPF_OBJECT").map_or_else(|| target.join("bpf/axoneme.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let to = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("axoneme.o");
    if let Err(error) = fs::copy(&object, &to) {
        println!(
            "cargo::error=no eBPF object at {}: {error}. Run `cargo xtask bpf`, or name one that was built elsewhere with \
             AXONEME_BPF_OBJECT",
            object.display()
        );
    }
}
