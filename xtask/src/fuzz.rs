//! `cargo xtask fuzz`: searches for inputs that break what `fuzz/` asserts, guided by coverage.
//!
//! Coverage comes from a pass of LLVM that every compiler has, so the ordinary toolchain builds it. No sanitizer: the code
//! under test has no `unsafe`. See `docs/adr/0018-fuzzing-on-stable.md`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{embed, paths, shell};

/// Longest inputs, in bytes, by target.
const TARGETS: [(&str, u32); 6] =
    [("walker", 8192), ("intent", 4096), ("state_file", 4096), ("yaml", 8192), ("xds_request", 2048), ("hostkey", 320)];

/// What counts edges, for libFuzzer to see where an input leads. Compares are not traced: that takes more than half of the time,
/// and words that mean something come from the seeds and the descriptors.
const COVERAGE: [&str; 4] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];

/// Search for inputs that break what must hold, a minute for each target, two at a time.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Which targets: walker, intent, state_file, yaml, xds_request, hostkey. All, if none is named.
    targets: Vec<String>,
    /// How long each one runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Where the search goes; the same number goes the same way. Another one each time, if not given.
    #[arg(long)]
    seed: Option<u32>,
    /// Only look at this one input, as a search left it behind.
    #[arg(long, requires = "targets")]
    input: Option<PathBuf>,
}

impl Fuzz {
    /// What `cargo xtask ci` does. It goes the same way each time: what stops a merge is the change, not luck.
    pub(crate) const CI: Self = Self { targets: Vec::new(), seconds: 60, seed: Some(1), input: None };

    pub(crate) fn run(self) -> Result<()> {
        let targets = self.chosen()?;
        let programs = build()?;
        if let Some(input) = &self.input {
            let target = targets.first().context("an input is one of a target: name it")?.0;
            return shell::run(Command::new(program(&programs, target)).arg(input));
        }
        let work = paths::target().join("fuzz");
        shell::run(Command::new(program(&programs, "seeds")).arg(&work))?;
        let mut failed = Vec::new();
        for pair in targets.chunks(2) {
            let searches = pair.iter().map(|(name, longest)| Search::start(&self, &programs, &work, name, *longest));
            for search in searches.collect::<Result<Vec<_>>>()? {
                if let Some(name) = search.finish()? {
                    failed.push(name);
                }
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("found something: {}", failed.join(", ")) }
    }

    fn chosen(&self) -> Result<Vec<(&'static str, u32)>> {
        if let Some(unknown) = self.targets.iter().find(|name| !TARGETS.iter().any(|(known, _)| known == name)) {
            bail!("no target {unknown:?}; there are {}", TARGETS.map(|(name, _)| name).join(", "));
        }
        let named = |name: &str| self.targets.is_empty() || self.targets.iter().any(|wanted| wanted == name);
        Ok(TARGETS.into_iter().filter(|(name, _)| named(name)).collect())
    }
}

/// Builds the programs with coverage, in a folder of their own. Gives the folder that they are in.
fn build() -> Result<PathBuf> {
    let (target_dir, host) = (paths::target().join("fuzz-build"), host()?);
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--package=axoneme-fuzz", "--features=libfuzzer", "--bins", "--profile=fuzz", "--locked"])
        // With a target named, build scripts and macros are built without these flags.
        .args(["--target", &host, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"))
        .env("AXONEME_BPF_OBJECT", embed::programs()?)
        .env("AXONEME_ENVOY_MODULE_FILE", embed::module()?);
    shell::run(&mut cargo)?;
    Ok(target_dir.join(host).join("fuzz"))
}

fn host() -> Result<String> {
    let version = shell::output(Command::new("rustc").arg("-vV").current_dir(paths::root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which machine it is for")
}

fn program(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("fuzz-{name}"))
}

/// A search that runs.
struct Search {
    name: &'static str,
    child: Child,
    log: PathBuf,
    findings: PathBuf,
}

impl Search {
    fn start(task: &Fuzz, programs: &Path, work: &Path, name: &'static str, longest: u32) -> Result<Self> {
        let folder = work.join(name);
        // A search with a seed begins where everybody's begins; another goes on where the last one ended.
        let corpus = folder.join(if task.seed.is_some() { "fresh" } else { "corpus" });
        let findings = folder.join("findings");
        if task.seed.is_some() && corpus.exists() {
            fs::remove_dir_all(&corpus).with_context(|| format!("cannot empty {}", corpus.display()))?;
        }
        for folder in [&corpus, &findings] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let log = folder.join("log");
        let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program(programs, name));
        command
            .arg(format!("-max_total_time={}", task.seconds))
            .arg(format!("-max_len={longest}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            // Far beyond what an input of this size may take, also on a slow and busy machine.
            .args(["-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1", "-reload=0"])
            .args(task.seed.map(|seed| format!("-seed={seed}")))
            .args([&corpus, &folder.join("seeds")])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { name, child, log, findings })
    }

    /// Waits for its end. Gives its name when it found something.
    fn finish(mut self) -> Result<Option<&'static str>> {
        let status = self.child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        println!("{:<12} {}", self.name, summary(&log));
        if status.success() {
            return Ok(None);
        }
        self.tell(&log, status);
        Ok(Some(self.name))
    }

    fn tell(&self, log: &str, status: ExitStatus) {
        let lines = log.lines().collect::<Vec<_>>();
        println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        println!(
            "{} ended with {status}. Its log is {}; inputs are kept in {}.",
            self.name,
            self.log.display(),
            self.findings.display()
        );
        println!("Look at one again with `cargo xtask fuzz {} --input FILE`.", self.name);
    }
}

/// How much was tried, and how much of the code that reached.
fn summary(log: &str) -> String {
    let stat = |name: &str| {
        let value =
            log.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
        value.map_or("?", str::trim)
    };
    let covered = log.lines().rev().find_map(|line| line.split_once("cov: ")?.1.split(' ').next());
    format!(
        "{} inputs, {} kept, {} edges covered, {} MB at most",
        stat("number_of_executed_units"),
        stat("new_units_added"),
        covered.unwrap_or("?"),
        stat("peak_rss_mb")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_what_libfuzzer_says() {
        let log = "#8\tINITED cov: 12 ft: 13 corp: 1/1b\n#99\tDONE   cov: 345 ft: 678 corp: 9/9b lim: 4\n\
                   stat::number_of_executed_units: 99\nstat::new_units_added:          8\nstat::peak_rss_mb:              77\n";
        assert_eq!(summary(log), "99 inputs, 8 kept, 345 edges covered, 77 MB at most");
    }
}
