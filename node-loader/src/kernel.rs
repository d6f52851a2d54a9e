//! The real [`Datapath`]: eBPF programs and maps, routing, nftables and sockets of the node's kernel.
//!
//! [`start`] puts everything in place or adopts what an earlier process left, [`cleanup`] undoes it. In between nothing depends
//! on this process: maps and links are pinned.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use tokio::sync::watch;

use crate::datapath::{Counters, Datapath, DatapathError, Entry};

mod cleanup;
mod config;
mod cookie;
mod devices;
mod frontends;
mod lock;
mod messages;
mod netfilter;
mod netlink;
mod pins;
mod programs;
mod routing;
mod sockets;
mod watcher;

pub use cleanup::cleanup;
pub use config::{Config, Marks, Routing};
pub use lock::{Lock, lock};
pub use watcher::Watcher;

use frontends::{Frontends, Settings};
use pins::Pins;
use programs::Programs;

/// The maps, and questions to the kernel.
pub struct Kernel {
    frontends: Frontends,
    addresses: watch::Receiver<Vec<IpAddr>>,
    ipv6: bool,
}

/// Loads, attaches and routes. When it returns, every device that is there is covered; the [`Watcher`] must run for those that
/// come.
///
/// Wants the capabilities `BPF`, `NET_ADMIN` and `PERFMON`, a bpffs, and Linux 6.6. Works in the calling thread's network
/// namespace. Connections at the proxy, and those of an earlier process, live on.
pub async fn start(config: Config) -> Result<(Kernel, Watcher), DatapathError> {
    let ipv6 = config.ipv6;
    let cgroup = match &config.cgroup {
        Some(cgroup) => cgroup.clone(),
        None => mounted_cgroup()?,
    };
    let netns_cookie = cookie::of_network_namespace()?;
    let pins = Pins::open(&config.pin_dir)?;
    let mut programs = Programs::load(pins.clone())?;
    let frontends = Frontends::take(programs.ebpf())?;
    let settings = Settings::take(programs.ebpf())?;
    let mut watcher = Watcher::start(config, pins.clone(), programs, settings, netns_cookie).await?;
    watcher.programs().attach_connect(&cgroup)?;
    remove_other_layouts(&pins)?;
    let kernel = Kernel { frontends, addresses: watcher.addresses(), ipv6 };
    Ok((kernel, watcher))
}

impl Datapath for Kernel {
    fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError> {
        self.frontends.set(frontend, entry)
    }

    fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError> {
        self.frontends.remove(frontend)
    }

    fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError> {
        self.frontends.entries()
    }

    fn listening(&self, port: u16) -> Result<bool, DatapathError> {
        let v4 = sockets::listening((Ipv4Addr::LOCALHOST, port).into())?;
        Ok(v4 && (!self.ipv6 || sockets::listening((Ipv6Addr::LOCALHOST, port).into())?))
    }

    fn connections(&self, frontend: SocketAddr) -> Result<usize, DatapathError> {
        sockets::connections(frontend)
    }

    fn node_addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        self.addresses.clone()
    }

    fn counters(&self) -> Result<Counters, DatapathError> {
        self.frontends.counters()
    }
}

fn remove_other_layouts(pins: &Pins) -> Result<(), DatapathError> {
    let removed = pins
        .remove_other_layouts()
        .map_err(|error| DatapathError::io("take away the maps and links of another version", error))?;
    for folder in removed {
        tracing::warn!(folder = %folder.display(), "took away maps and links of a version with another layout");
    }
    Ok(())
}

/// Where the cgroup v2 tree is mounted.
fn mounted_cgroup() -> Result<PathBuf, DatapathError> {
    let mounts = Path::new("/proc/self/mounts");
    let text = fs::read_to_string(mounts).map_err(|error| DatapathError::io("read /proc/self/mounts", error))?;
    let mounted = text.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    });
    mounted.ok_or_else(|| {
        DatapathError::Config("no cgroup v2 tree is mounted; name the folder of one, or mount it".to_owned())
    })
}
