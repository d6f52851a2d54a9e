//! The report: medians over rounds, with the spread, and the ratio to the first way of the same round.

use std::time::Duration;

use super::{crash::Crash, load::Sample};

/// The samples of one way, round by round.
pub(super) struct Series {
    name: &'static str,
    tracked: u64,
    samples: Vec<Sample>,
}

/// What each way carries with so many connections open, round by round.
pub(super) struct Crowd {
    pub connections: usize,
    pub ways: Vec<(&'static str, Vec<Cost>)>,
}

/// What one round of a crowd came to.
pub(super) struct Cost {
    /// Requests a second.
    pub rate: f64,
    /// Run time of all Envoys for one request, in microseconds.
    pub cpu: f64,
}

/// What the kernel says of a program, in nanoseconds.
pub(super) struct Program {
    /// Of which packets.
    pub what: &'static str,
    /// One run.
    pub mean: f64,
    /// A run that does next to nothing, at that time.
    pub floor: f64,
}

impl Series {
    /// A way that has no samples yet; `tracked` is how many entries of connection tracking its connections made.
    pub(super) fn new(name: &'static str, tracked: u64) -> Self {
        Self { name, tracked, samples: Vec::new() }
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }
}

pub(super) fn print_ways(series: &[Series]) {
    table("one request on an open connection, p50", series, |sample| sample.request);
    table("connect, one request, close, p50", series, |sample| sample.connection);
    println!("\nentries of connection tracking for as many new connections");
    for way in series {
        println!("{:<26} {:>9}", way.name, way.tracked);
    }
}

/// `rounds` are times in microseconds, of each way.
pub(super) fn print_handshakes(ways: &[&str], rounds: &[Vec<f64>]) {
    println!("\nconnect() while Envoy is stopped, p50\n{:<26} {:>9} {:>7}", "", "us", "ratio");
    for (at, way) in ways.iter().enumerate() {
        let of = |at: usize| rounds.iter().filter_map(move |round| round.get(at));
        let ratio = middle(of(at).zip(of(0)).map(|(own, base)| own / base));
        println!("{way:<26} {:>9.1} {ratio:>7.2}", middle(of(at).copied()));
    }
}

pub(super) fn print_crowds(crowds: &[Crowd]) {
    println!(
        "\n{:<26} {:>12} {:>9} {:>7} {:>16} {:>7}",
        "", "connections", "a second", "ratio", "Envoy's CPU, us", "ratio"
    );
    for Crowd { connections, ways } in crowds {
        let Some((_, base)) = ways.first() else { continue };
        for (name, costs) in ways {
            let ratio = |of: fn(&Cost) -> f64| middle(costs.iter().zip(base).map(|(own, base)| of(own) / of(base)));
            println!(
                "{name:<26} {connections:>12} {:>9.0} {:>7.2} {:>16.1} {:>7.2}",
                middle(costs.iter().map(|cost| cost.rate)),
                ratio(|cost| cost.rate),
                middle(costs.iter().map(|cost| cost.cpu)),
                ratio(|cost| cost.cpu),
            );
        }
    }
}

pub(super) fn print_programs(programs: &[Program]) {
    println!(
        "\nthe program at a pod's veth, by the kernel's statistics, ns\n{:<34} {:>6} {:>6} {:>6}",
        "", "mean", "floor", "net"
    );
    for Program { what, mean, floor } in programs {
        println!("{what:<34} {mean:>6.0} {floor:>6.0} {:>6.0}", mean - floor);
    }
}

pub(super) fn print_edits(edits: &[Duration]) {
    let at = |share: usize| edits.get((edits.len() * share / 100).min(edits.len().saturating_sub(1)));
    if let (Some(p50), Some(p99)) = (at(50), at(99)) {
        println!("\nfile saved to edit served: p50 {:.1} ms, p99 {:.1} ms, {} edits", ms(*p50), ms(*p99), edits.len());
    }
}

pub(super) fn print_processes(memory: &[(String, u64)], idle: &[(String, u64)]) {
    println!();
    for (name, kb) in memory {
        let cpu = idle.iter().find(|(other, _)| other == name).map_or(0, |(_, cpu)| *cpu);
        println!("{name}: {:.1} MB resident, idle {}.{:02} % of a core", *kb as f64 / 1024.0, cpu / 100, cpu % 100);
    }
}

pub(super) fn print_crashes(crashes: &[Crash]) {
    println!(
        "\na config that kills Envoy\n{:<10} {:>22} {:>22} {:>16}",
        "", "all else serves after", "the cause told after", "requests failed"
    );
    for (index, Crash { restored, told, failed }) in crashes.iter().enumerate() {
        println!("{:<10} {:>19.0} ms {:>19.0} ms {failed:>16}", index + 1, ms(*restored), ms(*told));
    }
}

/// A line for each way: its median with the range of rounds, and how it compares to the first way of the same round.
fn table(title: &str, series: &[Series], of: impl Fn(&Sample) -> f64) {
    let Some(base) = series.first() else { return };
    println!("\n{title}\n{:<26} {:>9} {:>19} {:>7} {:>9}", "", "us", "range of rounds", "ratio", "more");
    for way in series {
        let values = || way.samples.iter().map(&of);
        let pairs = || values().zip(base.samples.iter().map(&of));
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let (ratio, more) =
            (middle(pairs().map(|(own, base)| own / base)), middle(pairs().map(|(own, base)| own - base)));
        println!("{:<26} {:>9.1} {low:>9.1} {high:>9.1} {ratio:>7.3} {more:>9.1}", way.name, middle(values()));
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
