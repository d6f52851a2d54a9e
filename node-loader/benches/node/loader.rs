//! The loader's process as the bench sees it: this program again, inside of the node.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axoneme_testnet::Namespace;
use tempfile::TempDir;

/// The loader's folder; its process is known by having one.
pub(crate) const RUN_DIR: &str = "AXONEME_BENCH_RUN_DIR";
/// It has no operator.
pub(crate) const ALONE: &str = "AXONEME_BENCH_ALONE";
/// Tells answers from what else is printed.
pub(crate) const ANSWER: &str = "> ";

pub(crate) struct Loader {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    run_dir: Arc<TempDir>,
}

impl Loader {
    pub(crate) fn start(node: &Namespace) -> Result<Self> {
        Self::launch(node, Arc::new(tempfile::tempdir()?), false)
    }

    /// Kills it. The next one has what is on disk and in the kernel, and no operator.
    pub(crate) fn start_alone(self, node: &Namespace) -> Result<Self> {
        let run_dir = Arc::clone(&self.run_dir);
        drop(self);
        Self::launch(node, run_dir, true)
    }

    fn launch(node: &Namespace, run_dir: Arc<TempDir>, alone: bool) -> Result<Self> {
        let mut command = node.command(env::current_exe()?);
        command.envs(alone.then_some((ALONE, "1")));
        command.env(RUN_DIR, run_dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        let mut loader = Self { child, input, output: BufReader::new(output).lines(), run_dir };
        loader.answer()?;
        Ok(loader)
    }

    /// Puts redirects until there are so many frontends, and says how long it took until all were in force.
    pub(crate) fn fill(&mut self, frontends: usize) -> Result<Duration> {
        self.ask(&format!("fill {frontends}"))
    }

    /// Changes single redirects, each timed until it is in force and acknowledged.
    pub(crate) fn change(&mut self, times: usize) -> Result<Vec<Duration>> {
        (0..times).map(|time| self.ask(&format!("change {time}"))).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn resident_kb(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// What the kernel accounts for the maps that the loader has open, each once.
    pub(crate) fn map_bytes(&self) -> Result<u64> {
        let mut maps = BTreeMap::new();
        for file in fs::read_dir(format!("/proc/{}/fdinfo", self.pid()))? {
            let Ok(info) = fs::read_to_string(file?.path()) else { continue };
            let field = |name: &str| {
                info.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse::<u64>().ok())
            };
            if let Some((id, bytes)) = field("map_id:").zip(field("memlock:")) {
                maps.insert(id, bytes);
            }
        }
        Ok(maps.values().sum())
    }

    fn ask(&mut self, order: &str) -> Result<Duration> {
        writeln!(self.input, "{order}")?;
        let answer = self.answer()?;
        Ok(Duration::from_micros(answer.parse().with_context(|| format!("{order}: {answer}"))?))
    }

    fn answer(&mut self) -> Result<String> {
        for line in self.output.by_ref() {
            if let Some(answer) = line?.strip_prefix(ANSWER) {
                return Ok(answer.to_owned());
            }
        }
        anyhow::bail!("the loader ended; its words are above")
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
