//! What the kernel says of the programs that see packets: how often they ran, and for how long.
//!
//! Its clock and a cold processor are in each figure. So a program that does next to nothing sees as many packets: what the kernel
//! says of that one is the floor.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use axoneme_testnet::Node;
use serde_json::Value;

use crate::shell;

/// The kernel counts while this is 1 (`kernel/bpf/syscall.c`); reading the clock is in the figures, some tens of nanoseconds.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The program at the loopback device. Elsewhere it looks at a packet's mark, and that is all: no packet there has the one it wants.
pub(super) const FLOOR: &str = "from_host";

/// Runs of a program, and their time.
#[derive(Clone, Copy, Default)]
pub(super) struct Ran {
    pub runs: u64,
    pub nanos: u64,
}

impl Ran {
    /// What was added since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self { runs: self.runs.saturating_sub(before.runs), nanos: self.nanos.saturating_sub(before.nanos) }
    }

    /// Nanoseconds of one run.
    pub(super) fn mean(self) -> f64 {
        self.nanos as f64 / self.runs.max(1) as f64
    }
}

/// Counting, until this is dropped.
pub(super) struct Counting {
    before: String,
}

impl Counting {
    /// Lets the kernel count.
    pub(super) fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| SWITCH)?;
        fs::write(SWITCH, "1").with_context(|| SWITCH)?;
        Ok(Self { before })
    }

    /// What each program ran by now. `pins` is the folder that the loader keeps its links in.
    pub(super) fn read(&self, pins: &Path) -> Result<BTreeMap<String, Ran>> {
        let ran = |program: &Value| {
            let number = |field: &str| program[field].as_u64().unwrap_or_default();
            Ran { runs: number("run_cnt"), nanos: number("run_time_ns") }
        };
        Ok(programs(pins)?.iter().map(|(name, program)| (name.clone(), ran(program))).collect())
    }
}

/// Runs [`FLOOR`] on whatever leaves by this device, until the device goes.
pub(super) fn add_floor(node: &Node, device: &str, pins: &Path) -> Result<()> {
    const PIN: &str = "/sys/fs/bpf/floor";
    let id = programs(pins)?.get(FLOOR).and_then(|program| program["id"].as_u64());
    let id = id.with_context(|| format!("no program {FLOOR} in {}", pins.display()))?.to_string();
    node.run("bpftool", ["prog", "pin", "id", &id, PIN])?;
    node.run("tc", ["qdisc", "add", "dev", device, "clsact"])?;
    node.run("tc", ["filter", "add", "dev", device, "egress", "bpf", "direct-action", "object-pinned", PIN])?;
    node.run("rm", [PIN])?;
    Ok(())
}

/// What bpftool says of each program that has a link in the folder, by name.
fn programs(pins: &Path) -> Result<BTreeMap<String, Value>> {
    let mut programs = BTreeMap::new();
    for layout in fs::read_dir(pins).with_context(|| pins.display().to_string())? {
        for pin in fs::read_dir(layout?.path())? {
            let pin = pin?.path();
            // A map is no link, and bpftool says so.
            let Ok(link) = bpftool(["link", "show", "pinned", &pin.to_string_lossy()]) else { continue };
            let Some(id) = link["prog_id"].as_u64() else { continue };
            let program = bpftool(["prog", "show", "id", &id.to_string()])?;
            let name = program["name"].as_str().context("a program without a name")?;
            programs.insert(name.to_owned(), program.clone());
        }
    }
    Ok(programs)
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.before.trim()) {
            eprintln!("{SWITCH} stays 1: {error}");
        }
    }
}

fn bpftool<const N: usize>(arguments: [&str; N]) -> Result<Value> {
    let mut command = Command::new("bpftool");
    command.arg("--json").args(arguments);
    Ok(serde_json::from_str(&shell::output(&mut command)?)?)
}
