//! The report: medians over rounds, with the spread, and the ratio to the first way of the same round.

use std::time::Duration;

use super::{crash::Crash, load::Sample};

/// The samples of one way, round by round.
pub(super) struct Series {
    name: &'static str,
    samples: Vec<Sample>,
}

impl Series {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, samples: Vec::new() }
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }
}

pub(super) fn print(series: &[Series], edits: &[Duration], memory: &[(String, u64)], idle: &[(String, u64)]) {
    let Some(base) = series.first() else { return };
    table("one request on an open connection, p50", series, base, |sample| sample.request);
    table("connect, one request, close, p50", series, base, |sample| sample.connection);
    let at = |share: usize| edits.get((edits.len() * share / 100).min(edits.len().saturating_sub(1)));
    if let (Some(p50), Some(p99)) = (at(50), at(99)) {
        println!("\nfile saved to edit served: p50 {:.1} ms, p99 {:.1} ms, {} edits", ms(*p50), ms(*p99), edits.len());
    }
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

fn table(title: &str, series: &[Series], base: &Series, of: impl Fn(&Sample) -> f64) {
    println!("\n{title}\n{:<26} {:>9} {:>19} {:>7}", "", "us", "range of rounds", "ratio");
    for way in series {
        let values = sorted(way.samples.iter().map(&of));
        let ratios = sorted(way.samples.iter().zip(&base.samples).map(|(own, base)| of(own) / of(base)));
        let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
        println!("{:<26} {:>9.1} {low:>9.1} {high:>9.1} {:>7.2}", way.name, middle(&values), middle(&ratios));
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
