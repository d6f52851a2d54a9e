//! CPU and memory of the cluster's processes, from /proc.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use axoneme_e2e::Cluster;

/// The kernel keeps 15 characters of a name.
const PROCESSES: [&str; 6] = ["axoneme-operato", "axoneme-node", "envoy", "kube-apiserver", "etcd", "kube-proxy"];

/// CPU and memory of the processes of one name, all together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Used {
    /// Milliseconds.
    pub(crate) cpu: f64,
    pub(crate) resident_kb: u64,
    /// How much more memory than before.
    pub(crate) grown_kb: u64,
}

/// By process.
pub(crate) struct Usage(pub(crate) BTreeMap<&'static str, Used>);

impl Usage {
    /// Looks at every process that runs in the cluster's control groups.
    pub(crate) fn now(cluster: &Cluster) -> Result<Self> {
        let mut found: BTreeMap<&'static str, Used> = BTreeMap::new();
        let group = format!("axk-{}-", cluster.name());
        for process in fs::read_dir("/proc").context("no /proc")? {
            let folder = process?.path();
            // A process may end while it is looked at.
            let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
            let comm = read("comm");
            let Some(name) = PROCESSES.into_iter().find(|name| *name == comm.trim()) else { continue };
            if !read("cgroup").contains(&group) {
                continue;
            }
            let used = found.entry(name).or_default();
            used.cpu += cpu(&folder);
            used.resident_kb += resident(&read("status")).unwrap_or_default();
        }
        Ok(Self(found))
    }

    /// What was used between then and this.
    pub(crate) fn since(mut self, then: &Self) -> Self {
        for (name, used) in &mut self.0 {
            let before = then.0.get(name).copied().unwrap_or_default();
            used.cpu -= before.cpu;
            used.grown_kb = used.resident_kb.saturating_sub(before.resident_kb);
        }
        self
    }

    pub(crate) fn operator(&self) -> Used {
        self.0.get(PROCESSES[0]).copied().unwrap_or_default()
    }
}

/// Run time of all threads, in milliseconds.
fn cpu(process: &std::path::Path) -> f64 {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    times.sum::<f64>() / 1e6
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
