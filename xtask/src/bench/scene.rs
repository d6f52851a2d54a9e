//! A node with the mesh on it, a client pod and a backend pod, and every way to the same Envoy.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axoneme_testnet::{
    Lab, Layout, Namespace, Node, Process,
    mesh::{Mesh, Programs},
    wait_until,
};
use tempfile::TempDir;

use super::{load::Connection, programs, sidecars::Sidecars};
use crate::shell;

/// What the client of the bench dials to get to Envoy in one way.
pub(super) struct Way {
    /// As told in the report.
    pub name: &'static str,
    /// What to dial.
    pub address: SocketAddr,
}

/// Names of the ways that the report compares.
pub(super) const DIALLED: &str = "Envoy dialled directly";
pub(super) const OURS: &str = "Axoneme redirect";
pub(super) const PLAIN: &str = "no proxy, pod to pod";
pub(super) const SIDECARS: &str = "a sidecar in each pod";

/// Everything that runs while the bench does. Dropping it leaves nothing.
pub(super) struct Scene {
    /// The pod that asks.
    pub client: Namespace,
    /// The folder of YAML that the mesh runs from.
    pub folder: TempDir,
    node: Node,
    backend: SocketAddr,
    // The order of the fields is the order of the end: the lab last.
    /// The mesh.
    pub mesh: Mesh,
    sidecars: Sidecars,
    _run: TempDir,
    _echo: (Process, Namespace),
    _lab: Lab,
}

/// The port of the listener that is dialled directly and by `REDIRECT`.
const DIRECT: u16 = 18_080;
/// The port of the listener that `TPROXY` hands sockets to.
const TPROXY: u16 = 18_081;
/// Addresses of the Services that the rivals' rules take; nobody has them.
const REDIRECTED: Ipv4Addr = Ipv4Addr::new(10, 232, 0, 201);
const TPROXIED: Ipv4Addr = Ipv4Addr::new(10, 232, 0, 202);
/// Address of the Service that the mesh takes, and of the one whose answer is edited.
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 232, 0, 200);
const EDITED: Ipv4Addr = Ipv4Addr::new(10, 232, 0, 203);
/// Address of the Service that the client's sidecar takes.
const SIDECARRED: Ipv4Addr = Ipv4Addr::new(10, 232, 0, 204);
/// The port of all these Services.
const PORT: u16 = 80;

impl Scene {
    /// Starts everything and waits until every way answers.
    pub(super) fn build(programs: &Programs, echo: &Path) -> Result<Self> {
        let mut lab = Lab::new("bench")?;
        let mut node = lab.node("node1", Layout::Routed)?;
        let client = node.pod("client")?;
        let server = node.pod("backend")?;
        let backend = SocketAddr::new(server.address.v4.into(), 5678);
        let echo = server.spawn(echo, ["--text", "ok"])?;
        let (folder, run) = (tempfile::tempdir()?, tempfile::tempdir()?);
        fs::write(folder.path().join("mesh.yaml"), mesh(backend))?;
        write_edited(folder.path(), "edit-0")?;
        node.nft(&rivals())?;
        let mesh = Mesh::up(&node, programs, folder.path(), run.path())?;
        let sidecars = Sidecars::start(&programs.envoy, [&client, &server], (SIDECARRED, PORT).into(), backend)?;
        let scene = Self { client, folder, node, backend, mesh, sidecars, _run: run, _echo: (echo, server), _lab: lab };
        for way in scene.ways() {
            let asks = || Connection::open(way.address).is_ok_and(|mut connection| connection.ask().is_ok());
            if let Err(error) = wait_until(way.name, Duration::from_secs(20), || scene.client.enter(asks)) {
                bail!("{error}; the mesh said:\n{}", scene.mesh.process().log()?);
            }
        }
        Ok(scene)
    }

    /// Every way to the backend, the direct one to Envoy first.
    pub(super) fn ways(&self) -> Vec<Way> {
        vec![
            Way { name: DIALLED, address: (self.node.address.v4, DIRECT).into() },
            Way { name: OURS, address: (SERVICE, PORT).into() },
            Way { name: "nftables REDIRECT", address: (REDIRECTED, PORT).into() },
            Way { name: "nftables TPROXY", address: (TPROXIED, PORT).into() },
            Way { name: PLAIN, address: self.backend },
            Way { name: SIDECARS, address: (SIDECARRED, PORT).into() },
        ]
    }

    /// Run time of every Envoy: the mesh's, and those of the sidecars.
    pub(super) fn envoys(&self) -> Result<Duration> {
        let own = self.processes(|pid| threads(pid).context("no run time"))?;
        let own = own.into_iter().filter(|(name, _)| name == "envoy").map(|(_, time)| time);
        let theirs = self.sidecars.ids().map(|id| threads(&id.to_string()).context("a sidecar ended"));
        let theirs = theirs.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Duration::from_nanos(own.chain(theirs).sum()))
    }

    /// Does `work` while the mesh's Envoy is stopped, so that all that is timed is the kernel's.
    pub(super) fn without_envoy<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let signal = |name: &str| -> Result<()> {
            let send = |pid: &str| shell::run(Command::new("kill").args([name, pid]));
            let envoys = self.processes(|pid| Ok(pid.to_owned()))?.into_iter().filter(|(name, _)| name == "envoy");
            envoys.map(|(_, pid)| pid).try_for_each(|pid| send(&pid))
        };
        signal("-STOP")?;
        let done = work();
        signal("-CONT")?;
        done
    }

    /// Entries of the node's connection tracking.
    pub(super) fn tracked(&self) -> Result<u64> {
        let count = self.node.run("sysctl", ["-n", "net.netfilter.nf_conntrack_count"])?;
        count.trim().parse().context("nf_conntrack_count")
    }

    /// The loader's folder of pins, as this process sees it.
    pub(super) fn pins(&self) -> PathBuf {
        format!("/proc/{}/root/sys/fs/bpf/axoneme", self.mesh.process().id()).into()
    }

    /// Lets the program that is the floor see what goes to the client.
    pub(super) fn add_floor(&self) -> Result<()> {
        let route = self.node.run("ip", ["-json", "route", "get", &self.client.address.v4.to_string()])?;
        let route: serde_json::Value = serde_json::from_str(&route)?;
        let device = route[0]["dev"].as_str().context("no route to the client")?;
        programs::add_floor(&self.node, device, &self.pins())
    }

    /// Where the answer that [`write_edited`] sets is served.
    pub(super) fn edited() -> SocketAddr {
        (EDITED, PORT).into()
    }

    /// Resident memory of each process of the mesh, by name, in kB.
    pub(super) fn memory(&self) -> Result<Vec<(String, u64)>> {
        self.processes(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        })
    }

    /// CPU that each process of the mesh takes when nobody asks, in hundredths of a percent of one core.
    pub(super) fn idle(&self, span: Duration) -> Result<Vec<(String, u64)>> {
        let used = || self.processes(|pid| threads(pid).context("no run time"));
        let (before, start) = (used()?, Instant::now());
        sleep(span);
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        let share = |((name, after), (_, before)): ((String, u64), (String, u64))| {
            (name, after.saturating_sub(before).saturating_mul(10_000) / nanos)
        };
        Ok(used()?.into_iter().zip(before).map(share).collect())
    }

    /// Asks something of each process in the node's own control group that belongs to the mesh.
    fn processes<T>(&self, ask: impl Fn(&str) -> Result<T>) -> Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        for pid in fs::read_to_string(self.node.cgroup().join("cgroup.procs"))?.lines() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if matches!(name.trim(), "axonctl" | "envoy") {
                found.push((name.trim().to_owned(), ask(pid)?));
            }
        }
        Ok(found)
    }
}

/// Run time of all threads of a process, in nanoseconds.
fn threads(pid: &str) -> Option<u64> {
    let mut sum = 0_u64;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}

/// Sets what the edited Service answers, as an editor would: a new file over the old one.
pub(super) fn write_edited(folder: &Path, answer: &str) -> Result<()> {
    let text = include_str!("edited.yaml").replace("EDITED", &EDITED.to_string()).replace("ANSWER", answer);
    let new = folder.join(".edited.yaml.new");
    fs::write(&new, text)?;
    fs::rename(new, folder.join("edited.yaml"))?;
    Ok(())
}

fn mesh(backend: SocketAddr) -> String {
    include_str!("mesh.yaml")
        .replace("SERVICE", &SERVICE.to_string())
        .replace("BACKEND", &backend.ip().to_string())
        .replace("DIRECT", &DIRECT.to_string())
        .replace("TPROXY", &TPROXY.to_string())
}

/// The incumbents' rules, as their users write them.
fn rivals() -> String {
    format!(
        "table ip rivals {{
  chain nat {{ type nat hook prerouting priority dstnat;
    ip daddr {REDIRECTED} tcp dport {PORT} redirect to :{DIRECT}
  }}
  chain mangle {{ type filter hook prerouting priority mangle;
    ip daddr {TPROXIED} meta l4proto tcp socket transparent 1 meta mark set 0x200 accept
    ip daddr {TPROXIED} tcp dport {PORT} tproxy to 127.0.0.1:{TPROXY} meta mark set 0x200 accept
  }}
}}
"
    )
}
