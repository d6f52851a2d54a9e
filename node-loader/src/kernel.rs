//! The real [`Datapath`]: eBPF programs and maps, routing, nftables and sockets of the node's kernel.
//!
//! [`start`] puts everything in place or adopts what an earlier process left, [`cleanup`] undoes it. In between nothing depends
//! on this process: maps and links are pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    datapath::{Counters, Datapath, DatapathError, Entry, ServiceId, SourceRange},
    layout::Layout,
    seat::Seat,
};

mod attachment;
mod attempts;
mod bridges;
mod capabilities;
mod cleanup;
mod clsact;
mod config;
mod cookie;
mod detach;
mod devices;
mod earlier;
mod frontends;
mod keeping;
mod lock;
mod map;
mod messages;
mod monitor;
mod near;
mod netfilter;
mod netlink;
mod pins;
mod programs;
mod removal;
mod routing;
mod seat;
mod sockets;
mod sources;
mod tcx;
mod watcher;
mod words;

pub use attachment::{Attachment, assigns_to_groups};
pub use cleanup::cleanup;
pub use config::{Config, Marks, Routing};
pub use lock::{Lock, lock};
pub use monitor::Monitor;
pub use watcher::Watcher;

use bridges::Bridges;
use devices::Devices;
use frontends::{Frontends, Settings};
use keeping::Keeping;
use near::Near;
use netfilter::Table;
use pins::Pins;
use programs::Programs;
use seat::Preferred;
use sources::SourceRanges;

/// The maps, and questions to the kernel.
pub struct Kernel {
    frontends: Frontends,
    sources: SourceRanges,
    preferred: Preferred,
    keeping: Keeping,
    table: Arc<Table>,
    addresses: watch::Receiver<Vec<IpAddr>>,
    devices: Arc<Mutex<Devices>>,
    attachment: Attachment,
    ipv6: bool,
    marks: Marks,
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
/// Wants the capabilities `BPF`, `NET_ADMIN` and `PERFMON`, a bpffs, and Linux 5.15. Works in the calling thread's network
/// namespace. Connections at the proxy, and those of an earlier process, live on.
///
/// # Errors
/// The kernel's words; and the capabilities that this process lacks, if it lacks any.
pub async fn start(config: Config) -> Result<Started, DatapathError> {
    start_all(config).await.map_err(capabilities::explain)
}

async fn start_all(config: Config) -> Result<Started, DatapathError> {
    let (ipv6, marks) = (config.ipv6, config.marks);
    let attachment = config.attachment.map_or_else(Attachment::of_this_kernel, Ok)?;
    let cgroup = match &config.cgroup {
        Some(cgroup) => cgroup.clone(),
        None => mounted_cgroup()?,
    };
    let netns_cookie = cookie::of_network_namespace()?;
    let pins = Pins::open(&config.pin_dir)?;
    let mut programs = Programs::load(pins.clone(), attachment)?;
    let frontends = Frontends::take(programs.ebpf(), &pins)?;
    let sources = SourceRanges::take(programs.ebpf(), &pins, &frontends.services())?;
    let preferred = Preferred::take(programs.ebpf(), &pins)?;
    let settings = Settings::take(programs.ebpf())?;
    let monitor = Monitor::take(programs.ebpf())?;
    let keeping = Keeping::take(programs.ebpf(), &pins, &config)?;
    let table = Arc::new(Table::new(config.clone(), keeping.is_on()?));
    let maps = (settings, Near::take(programs.ebpf())?, Bridges::take(programs.ebpf())?);
    let mut watcher = Watcher::start(config, pins.clone(), programs, maps, Arc::clone(&table), netns_cookie).await?;
    watcher.programs().attach_connect(&cgroup)?;
    remove_other_layouts(&pins)?;
    let kernel = Kernel {
        frontends,
        sources,
        preferred,
        keeping,
        table,
        addresses: watcher.addresses(),
        devices: watcher.devices(),
        attachment,
        ipv6,
        marks,
    };
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

    fn keep_clients(&mut self, on: bool) -> Result<(), DatapathError> {
        self.keeping.set(on, &self.table)
    }

    fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError> {
        self.frontends.entries()
    }

    fn listening(&self, port: u16) -> Result<bool, DatapathError> {
        for seat in Seat::ALL {
            let (v4, v6) = seat.loopbacks();
            if sockets::listening((v4, port).into())? && (!self.ipv6 || sockets::listening((v6, port).into())?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn prefer(&mut self, seat: Seat) -> Result<(), DatapathError> {
        self.preferred.set(seat)
    }

    fn connections(&self, frontends: &BTreeSet<SocketAddr>) -> Result<BTreeMap<SocketAddr, usize>, DatapathError> {
        sockets::connections(frontends, self.marks)
    }

    fn cut(&self, frontend: SocketAddr) -> Result<usize, DatapathError> {
        sockets::cut(frontend, self.marks)
    }

    fn node_addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        self.addresses.clone()
    }

    fn layout(&self) -> Layout {
        Layout { attachment: self.attachment.to_string(), ..self.devices.lock().layout() }
    }

    fn counters(&self) -> Result<Counters, DatapathError> {
        self.frontends.counters()
    }
}

/// What was found at start. Devices that come later are logged one by one.
fn tell(layout: &Layout) {
    let one_socket = !assigns_to_groups();
    tracing::info!(attachment = layout.attachment, one_socket, "programs are on the node's devices");
    if one_socket {
        tracing::warn!(
            "this kernel gives packets to no group of sockets: Envoy's workers share one socket for each listener; Linux 6.6 does \
             better"
        );
    }
    for what in &layout.unsupported {
        tracing::warn!(what, "not supported");
    }
    for device in &layout.devices {
        if let Some(why) = &device.left_alone {
            tracing::info!(device = device.name, kind = device.kind, why, "left alone");
        }
    }
}

fn remove_other_layouts(pins: &Pins) -> Result<(), DatapathError> {
    let removed = removal::remove_other_layouts(pins)
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
