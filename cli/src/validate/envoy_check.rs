//! The second stage of `validate`: Envoy itself is asked, with `--mode validate`, about what the manifests become.
//!
//! One run for everything; when Envoy refuses it, one for each object; then one for each of its resources, to name the culprit.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axoneme_envoy::{Owner, ResourceKind, decode, qualify};
use axoneme_operator::{Engine, ObjectKey, Problem, Reason, file_source::Folder, standalone::Located};
use axoneme_xds::Resource;

mod bootstrap;
mod words;

/// What one answer may take: 10,000 clusters take 4 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that the Envoy at `program` refuses.
pub(crate) fn refusals(engine: &Engine, folder: &Folder, program: &Path) -> Result<Vec<Located>> {
    let envoy = Envoy::new(program)?;
    let mut objects: BTreeMap<ObjectKey, Vec<Resource>> = BTreeMap::new();
    for report in engine.reports() {
        let all = ResourceKind::ALL.into_iter();
        let owned = all.flat_map(|kind| engine.intents().owned(&report.object, kind.type_url())).cloned().collect();
        objects.insert(report.object, owned);
    }
    let whole: Vec<_> = objects.values().flatten().cloned().collect();
    if envoy.refuses(&whole)?.is_none() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (object, resources) in &objects {
        if let Some(why) = envoy.refuses(resources)? {
            let culprits = envoy.culprits(resources)?;
            let unnamed = culprits.is_empty().then(|| (String::new(), why));
            found.extend(culprits.into_iter().chain(unnamed).map(|(key, why)| (object, key, why)));
        }
    }
    if found.is_empty() {
        // Each is fine alone, such as two listeners of two objects with one address.
        for (key, why) in envoy.culprits(&whole)? {
            let owner = objects.iter().find(|(_, resources)| resources.iter().any(|it| key_of(it) == key));
            found.extend(owner.map(|(object, _)| (object, key, why)));
        }
    }
    let located = found.into_iter().map(|(object, key, why)| {
        let field = place(engine, object, &key);
        let problem = Problem::error(Reason::Invalid, field, format!("Envoy refuses it: {why}"));
        Located { location: folder.locate(object, &problem.field), object: object.clone(), problem }
    });
    Ok(located.collect())
}

/// Type and name.
fn key_of(resource: &Resource) -> String {
    format!("{} {}", resource.type_url, resource.name)
}

/// Where a resource of this key stands in its object: `spec.resources[2]`.
fn place(engine: &Engine, object: &ObjectKey, key: &str) -> String {
    let Some(config) = engine.index().config(object) else { return String::new() };
    let owner = Owner { namespace: &object.name.namespace, name: &object.name.name };
    let is_it = |json: &serde_json::Value| {
        let Ok(mut resource) = decode(json, "") else { return false };
        qualify(&mut resource, &owner).is_ok() && format!("{} {}", resource.kind().type_url(), resource.name()) == key
    };
    let at = config.resources().iter().position(is_it);
    at.map_or_else(String::new, |at| format!("spec.resources[{at}]"))
}

struct Envoy<'a> {
    program: &'a Path,
    folder: tempfile::TempDir,
}

impl<'a> Envoy<'a> {
    /// In memory where that is possible: private keys may be among what is asked about.
    fn new(program: &'a Path) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Ok(Self { program, folder: folder.context("cannot make a folder for Envoy's configuration")? })
    }

    /// Envoy's words, or none when it takes all of them. About 50 ms.
    fn refuses(&self, resources: &[Resource]) -> Result<Option<String>> {
        let (config, log) = (self.folder.path().join("envoy.json"), self.folder.path().join("log"));
        std::fs::write(&config, bootstrap::bootstrap(resources).to_string()).context("cannot write for Envoy")?;
        let mut command = Command::new(self.program);
        command.args(["--mode", "validate", "--log-level", "error", "--config-path"]).arg(&config);
        let status = run(command.stdout(Stdio::null()).stderr(File::create(&log)?))
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let Some(status) = status else {
            return Ok(Some(format!("no answer within {} s", PATIENCE.as_secs())));
        };
        if let Some(signal) = status.signal() {
            return Ok(Some(format!("it crashes Envoy (signal {signal})")));
        }
        let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        Ok((!status.success()).then(|| words::essence(&said)))
    }

    /// Type and name of each resource that is refused next to the good ones, with Envoy's words.
    fn culprits(&self, resources: &[Resource]) -> Result<Vec<(String, String)>> {
        let (mut good, mut found) = (Vec::new(), Vec::new());
        // In Envoy's order, so that what a listener needs is there before it.
        for resource in resources {
            good.push(resource.clone());
            if let Some(why) = self.refuses(&good)? {
                good.pop();
                found.push((key_of(resource), why));
            }
        }
        Ok(found)
    }
}

/// Runs to the end, or none when that is too far.
fn run(command: &mut Command) -> std::io::Result<Option<ExitStatus>> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests;
