//! The report.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{appear::Appeared, objects::Mode, others::Seen, usage::Usage};

/// How many are the first ones, and the last ones.
const EDGE: usize = 100;

pub(crate) fn appeared(mode: Mode, all: &[Appeared]) {
    println!("\n{} Ingresses added one by one, {} mode", all.len(), mode.name());
    println!("{:<34} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "max ms");
    row("the API server answers", all.iter().map(|it| it.answered));
    if mode == Mode::Dedicated {
        row("answered to its Service seen", all.iter().map(|it| it.service));
    }
    row("answered to first 200", all.iter().map(|it| it.served));
    let edge = EDGE.min(all.len());
    row("  the first hundred", all[..edge].iter().map(|it| it.served));
    row("  the last hundred", all[all.len() - edge..].iter().map(|it| it.served));
    let median = |part: &[Appeared]| at(&sorted(part.iter().map(|it| it.served)), 50);
    println!("last hundred to first hundred, p50: {:.2}", median(&all[all.len() - edge..]) / median(&all[..edge]));
}

pub(crate) fn others(seen: &Seen) {
    let of = |count: &std::sync::atomic::AtomicUsize| count.load(Relaxed);
    println!(
        "others meanwhile: {} requests, {} not 200, {} connections lost",
        of(&seen.asked),
        of(&seen.failed),
        of(&seen.closed)
    );
}

pub(crate) fn usage(what: &str, usage: &Usage) {
    println!("\n{what}: what they cost\n{:<18} {:>10} {:>12} {:>12}", "", "CPU s", "MB resident", "MB more");
    for (name, used) in &usage.0 {
        println!("{name:<18} {:>10.2} {:>12.1} {:>12.1}", used.cpu / 1e3, mb(used.resident_kb), mb(used.grown_kb));
    }
}

/// What an Ingress of another class costs the operator, against one of ours.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn share(own: &Usage, count: usize, foreign: &Usage, foreigners: usize) {
    let (own, foreign) = (own.operator().cpu / count as f64, foreign.operator().cpu / foreigners as f64);
    println!(
        "operator's CPU for one: ours {own:.3} ms, another class's {foreign:.3} ms: {:.1} %",
        foreign / own * 100.0
    );
}

pub(crate) fn rotations(times: &[Duration]) {
    println!("\n{} certificates rotated\n{:<34} {:>9} {:>9} {:>9}", times.len(), "", "p50 ms", "p99 ms", "max ms");
    row("answered to first new handshake", times.iter().copied());
}

fn row(name: &str, times: impl Iterator<Item = Duration>) {
    let times = sorted(times);
    println!("{name:<34} {:>9.1} {:>9.1} {:>9.1}", at(&times, 50), at(&times, 99), at(&times, 100));
}

/// In milliseconds.
fn sorted(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut times = times.map(|time| time.as_secs_f64() * 1e3).collect::<Vec<_>>();
    times.sort_unstable_by(f64::total_cmp);
    times
}

fn at(sorted: &[f64], share: usize) -> f64 {
    sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 kB")]
fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}
