//! Debian's kernels: fetched by apt, which checks them, unpacked into the cache, with their modules for networks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{paths, shell};

/// A kernel that can be had as a package.
pub(super) struct Kernel {
    /// As in `6.1`.
    pub(super) series: &'static str,
    /// The package that depends on the newest of the series.
    package: &'static str,
}

/// For clouds: small, and quick to start on what QEMU has.
const KERNELS: [Kernel; 2] = [
    Kernel { series: "6.1", package: "linux-image-cloud-amd64" },
    Kernel { series: "6.12", package: "linux-image-6.12-cloud-amd64" },
];

/// What a machine needs of a kernel.
pub(super) struct Files {
    pub(super) series: &'static str,
    pub(super) vmlinuz: PathBuf,
    /// As below `/lib/modules`, with lists of what needs what.
    pub(super) modules: PathBuf,
    /// As `uname -r` says it.
    pub(super) release: String,
}

/// The kernels of these versions; of all when there are none.
pub(super) fn known(versions: &[String]) -> Result<Vec<&'static Kernel>> {
    if versions.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let find = |version: &String| {
        let found = KERNELS.iter().find(|kernel| kernel.series == version);
        found.with_context(|| {
            format!("Linux {version} is none of {}", KERNELS.each_ref().map(|kernel| kernel.series).join(", "))
        })
    };
    versions.iter().map(find).collect()
}

impl Kernel {
    /// Fetches and unpacks what is not in the cache.
    pub(super) fn files(&self) -> Result<Files> {
        let package = self.newest()?;
        let release = package.strip_prefix("linux-image-").unwrap_or(&package).to_owned();
        let place = paths::cache()?.join("kernels").join(&package);
        if !place.exists() {
            println!("fetching {package}");
            let work = tempfile::tempdir()?;
            let kernel = fetch(&package, &release, work.path()).with_context(|| format!("cannot get {package}"))?;
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            let partial = place.with_extension(format!("partial-{}", std::process::id()));
            copy_tree(&kernel, &partial)?;
            shell::put(&partial, &place)?;
        }
        let (vmlinuz, modules) = (place.join("vmlinuz"), place.join("modules"));
        Ok(Files { series: self.series, vmlinuz, modules, release })
    }

    /// The package of the newest version.
    fn newest(&self) -> Result<String> {
        let printed = shell::output(Command::new("apt-cache").args(["depends", self.package]))?;
        let package = printed.lines().find_map(|line| line.trim().strip_prefix("Depends: ").map(str::to_owned));
        match package {
            Some(package) if package.starts_with("linux-image-") => Ok(package),
            _ => bail!(
                "this distribution has no {}, which brings Linux {}; on Debian 12, `apt-get update` or the list \
                 bookworm-backports may help",
                self.package,
                self.series
            ),
        }
    }
}

/// A folder with `vmlinuz` and `modules`, below `work`.
fn fetch(package: &str, release: &str, work: &Path) -> Result<PathBuf> {
    // Where apt's own user may write.
    fs::set_permissions(work, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    shell::run(Command::new("apt-get").args(["download", "--quiet", package]).current_dir(work))?;
    let archive = fs::read_dir(work)?.next().context("apt-get downloaded nothing")??.path();
    let (all, kernel) = (work.join("all"), work.join("kernel"));
    shell::run(Command::new("dpkg").arg("--extract").arg(&archive).arg(&all))?;
    let modules = kernel.join("modules");
    fs::create_dir_all(&modules)?;
    fs::rename(all.join("boot").join(format!("vmlinuz-{release}")), kernel.join("vmlinuz"))?;
    let from = [all.join("lib/modules").join(release), all.join("usr/lib/modules").join(release)];
    let from = from.into_iter().find(|folder| folder.exists()).context("the package has no modules")?;
    let to = modules.join("lib/modules").join(release);
    for folder in ["kernel/net", "kernel/drivers/net", "kernel/lib", "kernel/crypto", "kernel/arch"] {
        let folder = from.join(folder);
        if folder.exists() {
            unpack(&folder, &to.join(folder.strip_prefix(&from)?))?;
        }
    }
    for list in ["modules.builtin", "modules.order"] {
        fs::copy(from.join(list), to.join(list))?;
    }
    shell::run(Command::new("busybox").args(["depmod", "-b"]).arg(&modules).arg(release))?;
    Ok(kernel)
}

/// Copies modules, without compression: a machine loads many, and computes slowly.
fn unpack(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?;
        if path.is_dir() {
            unpack(&path, &to.join(name))?;
        } else if path.extension().is_some_and(|extension| extension == "xz") {
            fs::copy(&path, to.join(name))?;
            shell::run(Command::new("xz").args(["--decompress", "--quiet"]).arg(to.join(name)))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Temporary folders may be on another file system than the cache.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    shell::run(Command::new("cp").arg("--recursive").arg(from).arg(to))
}
