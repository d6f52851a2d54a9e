//! Puts what the loader carries inside where it embeds it from: the eBPF object, and the module for Envoy.

use std::{env, fs, path::PathBuf};

fn main() {
    embed("AXONEME_BPF_OBJECT", "bpf/axoneme.o", "axoneme.o", "cargo xtask bpf");
    embed("AXONEME_ENVOY_MODULE_FILE", "module/libaxoneme_envoy_module.so", "envoy_module.so", "cargo xtask module");
}

/// `built` is in the folder of build results; the file that the variable names takes its place.
fn embed(variable: &str, built: &str, name: &str, task: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let file = env::var_os(variable).map_or_else(|| target.join(built), PathBuf::from);
    println!("cargo::rerun-if-changed={}", file.display());
    let to = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join(name);
    if let Err(error) = fs::copy(&file, &to) {
        println!(
            "cargo::error=nothing to embed at {}: {error}. Run `{task}`, or name a file that was built elsewhere with {variable}",
            file.display()
        );
    }
}
