//! What many frontends and many pods cost a node: memory of the maps and of the loader, the time of one change, and the time from
//! a new pod's device to the first byte through the proxy. Kernel, eBPF and Envoy are real; the operator is a store in the
//! loader's own process, whose memory is counted with it. Needs root; `cargo xtask bench --only node` runs it.

mod crowd;
mod loader;
mod operator;
mod pod;
#[path = "../../tests/envoy/resources.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the tests of Envoy use the rest, where panicking is fine")]
mod resources;

use std::{env, time::Duration};

use anyhow::{Context as _, Result};
use axoneme_testnet::{Lab, Layout, Service};

use crowd::Crowd;
use loader::Loader;
use pod::Coming;

/// What is measured at each size.
struct Sizes {
    frontends: usize,
    veths: usize,
}

const SIZES: [Sizes; 2] = [Sizes { frontends: 100, veths: 10 }, Sizes { frontends: 10_000, veths: 1_000 }];
/// Single changes, and pods that come, at each size.
const CHANGES: usize = 300;
const PODS: usize = 200;

struct Figures {
    map_bytes: u64,
    with_operator_kb: u64,
    changes: Vec<Duration>,
    pods: Vec<Coming>,
    /// As long as the wiring takes with no loader there.
    plain: Vec<Duration>,
}

/// A part of a pod's time.
type Part = fn(&Coming) -> Duration;

impl Figures {
    fn pods(&self, of: Part) -> Vec<Duration> {
        self.pods.iter().map(of).collect()
    }
}

fn main() -> Result<()> {
    if env::var_os(loader::RUN_DIR).is_some() {
        return operator::run();
    }
    let mut lab = Lab::new("bench-node")?;
    let mut node = lab.node("node1", Layout::Routed)?;
    let backend = node.pod("backend")?;
    let crowd = Crowd::new(lab.client("crowd")?);
    pod::serve_plainly(&backend)?;
    // Where new connections go that come too early.
    let backends = vec![(backend.address.v4, pod::PLAIN).into()];
    node.serve_by_nat(&[Service { frontend: operator::frontend(0), backends }])?;

    let plain = pod::wire(&node, PODS)?;
    let mut loader = Loader::start(&node)?;
    let mut figures: Vec<Figures> = Vec::new();
    for Sizes { frontends, veths } in SIZES {
        let filled = loader.fill(frontends).with_context(|| format!("{frontends} frontends"))?;
        println!("{frontends} frontends in force after {:.2} s", filled.as_secs_f64());
        let covered = crowd.grow(&node, &loader, veths).with_context(|| format!("{veths} veths"))?;
        println!("{veths} veths covered after {:.2} s", covered.as_secs_f64());
        let changes = loader.change(CHANGES)?;
        let pods = pod::time(&node, PODS)?;
        let with_operator_kb = loader.resident_kb()?;
        figures.push(Figures { map_bytes: loader.map_bytes()?, with_operator_kb, changes, pods, plain: Vec::new() });
    }
    let alone = loader.start_alone(&node)?;
    // It serves.
    pod::time(&node, 1)?;
    let alone_kb = alone.resident_kb()?;
    drop(alone);
    for (figures, plain) in figures.iter_mut().zip([plain, pod::wire(&node, PODS)?]) {
        figures.plain = plain;
    }
    report(&figures);
    println!("loader alone, with many of both after a restart: {:.1} MB resident", alone_kb as f64 / 1024.0);
    Ok(())
}

fn report(figures: &[Figures]) {
    println!("\n{:<38} {:>12} {:>12}", "", "few", "many");
    let row = |name: &str, of: &dyn Fn(&Figures) -> f64| {
        let values: Vec<f64> = figures.iter().map(of).collect();
        println!("{name:<38} {:>12.2} {:>12.2}", values[0], values[1]);
    };
    let ms = |times: &[Duration], share: usize| at(times, share).as_secs_f64() * 1e3;
    row("memory of all maps, MB", &|it| it.map_bytes as f64 / 1e6);
    row("loader and its operator resident, MB", &|it| it.with_operator_kb as f64 / 1024.0);
    row("one change to its ACK, p50 ms", &|it| ms(&it.changes, 50));
    row("one change to its ACK, p99 ms", &|it| ms(&it.changes, 99));
    let of_pods = |name: &str, of: Part| {
        row(&format!("{name}, p50 ms"), &|it| ms(&it.pods(of), 50));
        row(&format!("{name}, p99 ms"), &|it| ms(&it.pods(of), 99));
    };
    let whole: Part = |it| it.wired + it.dialled;
    of_pods("new pod to first redirected byte", whole);
    of_pods("  its wiring", |it| it.wired);
    of_pods("  from then to the byte", |it| it.dialled);
    row("the wiring without a loader, p50 ms", &|it| ms(&it.plain, 50));
    row("the wiring without a loader, p99 ms", &|it| ms(&it.plain, 99));
    let ratio = |name: &str, of: &dyn Fn(&Figures) -> Vec<Duration>| {
        println!("{name}, many to few, p50: {:.2}", ms(&of(&figures[1]), 50) / ms(&of(&figures[0]), 50));
    };
    ratio("one change", &|it| it.changes.clone());
    ratio("new pod", &|it| it.pods(whole));
}

/// The time that so many of a hundred do not exceed.
fn at(times: &[Duration], share: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
