//! The real [`Datapath`]: eBPF programs and maps, routing, nftables and sockets of the node's kernel.
//!
//! [`start`] puts everything in place or adopts what an earlier process left, [`cleanup`] undoes it. In between nothing depends
//! on this process: maps and links are pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    datapath::{Counters, Datapath, DatapathError, Entry, ServiceId, SourceRange},
    status::Layout,
};

mod cleanup;
mod config;
mod cookie;
mod detach;
mod devices;
mod earlier;
mod frontends;
mod lock;
mod messages;
mod monitor;
mod netfilter;
mod netlink;
mod pins;
mod programs;
mod routing;
mod sockets;
mod sources;
mod watcher;

pub use cleanup::cleanup;
pub use config::{Config, Marks, Routing};
pub use lock::{Lock, lock};
pub use monitor::Monitor;
pub use watcher::Watcher;

use devices::Devices;
use frontends::{Frontends, Settings};
use pins::Pins;
use programs::Programs;
use sources::SourceRanges;

/// The maps, and questions to the kernel.
pub struct Kernel {
    frontends: Frontends,
    sources: SourceRanges,
    addresses: watch::Receiver<Vec<IpAddr>>,
    devices: Arc<Mutex<Devices>>,
    ipv6: bool,
}

/// What [`start`] put in place, in parts that run beside each other.
pub struct Started {
    /// The maps.
    pub kernel: Kernel,
    /// The devices.
    pub watcher: Watcher,
    /// What the programs tell.
    pub monitor: Monitor,
}

/// Loads, attaches and routes. When it returns, every device that is there is covered; the [`Watcher`] must run for those that
/// come.
///
/// Wants the capabilities `BPF`, `NET_ADMIN` and `PERFMON`, a bpffs, and Linux 6.6. Works in the calling thread's network
/// namespace. Connections at the proxy, and those of an earlier process, live on.
pub async fn start(config: Config) -> Result<Started, DatapathError> {
    let ipv6 = config.ipv6;
    let cgroup = match &config.cgroup {
        Some(cgroup) => cgroup.clone(),
        None => mounted_cgroup()?,
    };
    let netns_cookie = cookie::of_network_namespace()?;
    let pins = Pins::open(&config.pin_dir)?;
    let mut programs = Programs::load(pins.clone())?;
    let frontends = Frontends::take(programs.ebpf(), &pins)?;
    let sources = SourceRanges::take(programs.ebpf(), &frontends.services())?;
    let settings = Settings::take(programs.ebpf())?;
    let monitor = Monitor::take(programs.ebpf())?;
    let mut watcher = Watcher::start(config, pins.clone(), programs, settings, netns_cookie).await?;
    watcher.programs().attach_connect(&cgroup)?;
    remove_other_layouts(&pins)?;
    let kernel = Kernel { frontends, sources, addresses: watcher.addresses(), devices: watcher.devices(), ipv6 };
    tell(&kernel.layout());
    Ok(Started { kernel, watcher, monitor })
}

impl Datapath for Kernel {
    fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError> {
        self.frontends.set(frontend, entry)
    }

    fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError> {
        self.frontends.remove(frontend)
    }

    fn set_sources(&mut self, service: ServiceId, sources: &BTreeSet<SourceRange>) -> Result<(), DatapathError> {
        self.sources.set(service, sources)
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

    fn layout(&self) -> Layout {
        self.devices.lock().layout()
    }

    fn counters(&self) -> Result<Counters, DatapathError> {
        self.frontends.counters()
    }
}

/// What was found at start. Devices that come later are logged one by one.
fn tell(layout: &Layout) {
    for device in &layout.devices {
        if let Some(why) = &device.left_alone {
            tracing::info!(device = device.name, kind = device.kind, why, "left alone");
        }
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
