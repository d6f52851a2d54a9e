//! Devices of pods that are only there.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Result;
use axoneme_testnet::{Namespace, wait_until};

use crate::loader::Loader;

const PATIENCE: Duration = Duration::from_secs(120);

/// The network that has the other ends of them.
pub(crate) struct Crowd {
    network: Namespace,
}

impl Crowd {
    pub(crate) fn new(network: Namespace) -> Self {
        Self { network }
    }

    /// Adds devices until there are so many, and says how long it took, with their making, until all had their program.
    pub(crate) fn grow(&self, node: &Namespace, loader: &Loader, to: usize) -> Result<Duration> {
        let there = devices(node)?;
        let start = Instant::now();
        let far = self.network.pid();
        let add = |number: usize| {
            [
                format!("link add crowd{number} type veth peer name w{number} netns {far}"),
                format!("link set crowd{number} up"),
            ]
        };
        node.ip((there..to).flat_map(add))?;
        self.network.ip((there..to).map(|number| format!("link set w{number} up")))?;
        let wanted = devices(node)?;
        wait_until("every device to be covered", PATIENCE, || Ok(pinned(loader).is_ok_and(|pinned| pinned >= wanted)))?;
        Ok(start.elapsed())
    }
}

fn devices(node: &Namespace) -> Result<usize> {
    Ok(node.run("sh", ["-c", "ls -d /sys/class/net/* | wc -l"])?.trim().parse()?)
}

/// How many devices have a link, as its own files tell.
fn pinned(loader: &Loader) -> Result<usize> {
    let mut count = 0;
    for folder in fs::read_dir(format!("/proc/{}/root/sys/fs/bpf/axoneme", loader.pid()))? {
        let files = fs::read_dir(folder?.path())?.collect::<Result<Vec<_>, _>>()?;
        count += files.iter().filter(|file| file.file_name().to_string_lossy().starts_with("device_")).count();
    }
    Ok(count)
}
