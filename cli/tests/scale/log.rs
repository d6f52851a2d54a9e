//! What went over the xDS streams, read from the log of `axonctl up --log axoneme::xds=debug`.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_testnet::{Process, Result, mesh::Mesh, wait_until};

use crate::stage::SOON;

/// The filter that makes it say all this.
pub(crate) const FILTER: &str = "warn,axoneme::xds=debug";

/// The kind of a resource, as in `Cluster`, and its name.
pub(crate) type Key = (String, String);

/// The two hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Node,
    Envoy,
}

/// One line about one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    hop: Hop,
    said: Said,
    key: Key,
    /// None for a removal.
    version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Sent,
    Removed,
    Accepted,
    Refused,
}

/// Follows the log from one edit to the next.
pub(crate) struct Log<'a> {
    process: &'a Process,
    read: u64,
    lines: Vec<Line>,
}

impl<'a> Log<'a> {
    /// From here on.
    pub(crate) fn of(mesh: &'a Mesh) -> Result<Self> {
        let mut log = Self { process: mesh.process(), read: 0, lines: Vec::new() };
        log.turn_over()?;
        Ok(log)
    }

    /// Waits until the node runs a version of each of these that was sent from the last look on, and of whatever else was
    /// sent to it.
    pub(crate) fn until_in_force(&mut self, wanted: &BTreeSet<Key>) -> Result<()> {
        wait_until("an edit to be in force", SOON, || {
            self.read()?;
            let waits = self.open().is_empty();
            let sent = self.count(Hop::Node);
            Ok(waits && wanted.iter().all(|key| sent.contains_key(key)))
        })
    }

    /// The same for resources of a kind whose names end so.
    pub(crate) fn until_such_in_force(&mut self, wanted: &BTreeSet<Key>) -> Result<()> {
        wait_until("edits to be in force", SOON, || {
            self.read()?;
            let waits = self.open().is_empty();
            let sent = self.count(Hop::Node);
            let is_sent = |(kind, end): &Key| sent.keys().any(|(sent, name)| sent == kind && name.ends_with(end));
            Ok(waits && wanted.iter().all(is_sent))
        })
    }

    /// What was sent over a hop from the last look on, with how often; removals are sent too.
    pub(crate) fn count(&self, hop: Hop) -> BTreeMap<Key, usize> {
        let mut counts = BTreeMap::new();
        let sent = |line: &&Line| line.hop == hop && matches!(line.said, Said::Sent | Said::Removed);
        for line in self.lines.iter().filter(sent) {
            *counts.entry(line.key.clone()).or_default() += 1;
        }
        counts
    }

    /// Begins a new look.
    pub(crate) fn turn_over(&mut self) -> Result<()> {
        self.read()?;
        self.lines.clear();
        Ok(())
    }

    /// What the node has not answered.
    fn open(&self) -> BTreeMap<&Key, Option<&str>> {
        let mut open = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.hop == Hop::Node) {
            let version = line.version.as_deref();
            match line.said {
                Said::Sent | Said::Removed => drop(open.insert(&line.key, version)),
                Said::Accepted | Said::Refused if open.get(&line.key) == Some(&version) => drop(open.remove(&line.key)),
                Said::Accepted | Said::Refused => {}
            }
        }
        open
    }

    /// Takes in the complete lines that are new.
    fn read(&mut self) -> Result<()> {
        let new = whole_lines(self.process, &mut self.read)?;
        self.lines.extend(new.lines().filter_map(Line::parse));
        Ok(())
    }
}

/// The complete lines after the first `read` bytes, which are counted on.
pub(crate) fn whole_lines(process: &Process, read: &mut u64) -> Result<String> {
    let mut new = process.log_from(*read)?;
    new.truncate(new.rfind('\n').map_or(0, |end| end + 1));
    *read += new.len() as u64;
    Ok(new)
}

impl Line {
    /// `... DEBUG axoneme::xds: sent to="envoy" subscriber="local" kind="Cluster" name="scale/a" version="1f..."`
    fn parse(line: &str) -> Option<Self> {
        let (_, said) = line.split_once("axoneme::xds: ")?;
        let (word, fields) = said.split_once(' ')?;
        let said = match word {
            "sent" => Said::Sent,
            "removed" => Said::Removed,
            "accepted" => Said::Accepted,
            "refused" => Said::Refused,
            _ => return None,
        };
        let field = |name: &str| {
            let (_, rest) = fields.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let hop = if field("to")? == "envoy" { Hop::Envoy } else { Hop::Node };
        Some(Self { hop, said, key: (field("kind")?, field("name")?), version: field("version") })
    }
}
