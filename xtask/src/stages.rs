//! Stages of a long task: each is timed, none stops the others, and the end sums up what passed and what failed.

use std::{
    io::{BufRead, BufReader, Write as _, stdout},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// What ran so far.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

struct Stage {
    name: &'static str,
    took: Duration,
    tally: Tally,
}

/// Tests that passed and failed; a stage without tests counts as one.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Stages {
    /// Runs a stage that is no command.
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<()>) -> bool {
        self.timed(name, || {
            let outcome = stage();
            if let Err(error) = &outcome {
                println!("{name}: {error:#}");
            }
            Tally::of(outcome.is_ok())
        })
    }

    /// Runs a command, and counts the tests where it runs any.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) -> bool {
        self.timed(name, || {
            follow(command).unwrap_or_else(|error| {
                println!("{name}: {error:#}");
                Tally::of(false)
            })
        })
    }

    fn timed(&mut self, name: &'static str, stage: impl FnOnce() -> Tally) -> bool {
        println!("\n== {name}");
        let start = Instant::now();
        let tally = stage();
        self.done.push(Stage { name, took: start.elapsed(), tally });
        tally.failed == 0
    }

    /// Prints how long each stage took and closes with `N passed, N failed`.
    pub(crate) fn finish(self) -> Result<()> {
        println!();
        let mut sum = Tally::default();
        for Stage { name, took, tally } in &self.done {
            println!("{:>7.1} s  {:<24} {} passed, {} failed", took.as_secs_f32(), name, tally.passed, tally.failed);
            sum.passed += tally.passed;
            sum.failed += tally.failed;
        }
        let all = self.done.iter().map(|stage| stage.took).sum::<Duration>();
        println!("{:>7.1} s  in all", all.as_secs_f32());
        println!("{} passed, {} failed", sum.passed, sum.failed);
        if sum.failed > 0 { bail!("not everything passed") } else { Ok(()) }
    }
}

impl Tally {
    fn of(good: bool) -> Self {
        Self { passed: u64::from(good), failed: u64::from(!good) }
    }

    /// Reads `test result: ok. 3 passed; 0 failed; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let count = |what: &str| {
            let mut words = result.split([' ', ';', '.']).rev().skip_while(|word| *word != what).skip(1);
            words.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// Passes the output on, line by line, and counts.
fn follow(command: &mut Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut tally = Tally::default();
    for line in BufReader::new(child.stdout.take().context("no stdout")?).split(b'\n') {
        let line = line?;
        stdout().write_all(&line)?;
        stdout().write_all(b"\n")?;
        tally.add(&String::from_utf8_lossy(&line));
    }
    let good = child.wait()?.success();
    // A command without tests is one; one that fails without a failed test did not come to them.
    if tally.passed + tally.failed == 0 || (!good && tally.failed == 0) {
        tally.passed += u64::from(good);
        tally.failed += u64::from(!good);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn reads_the_summary_of_cargo_test() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s");
        tally.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.02s");
        tally.add("test translate::golden ... ok");
        assert_eq!((tally.passed, tally.failed), (15, 2));
    }
}
