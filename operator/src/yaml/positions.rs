//! Where the fields of a document stand.

use std::collections::BTreeMap;

use super::Position;

/// Where a document, or a part of it, and everything in it stands. A tree like the document's own, so that it costs what the
/// document costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    pub(super) at: Position,
    /// Fields by [`step`], items by `[index]`.
    parts: BTreeMap<String, Positions>,
}

impl Positions {
    pub(super) fn new(at: Position) -> Self {
        Self { at, parts: BTreeMap::new() }
    }

    pub(super) fn field(&mut self, key: &str, field: Self) {
        self.parts.insert(step(key), field);
    }

    pub(super) fn item(&mut self, index: usize, item: Self) {
        self.parts.insert(format!("[{index}]"), item);
    }

    /// Where a field stands; when it is not there (it is missing, say), the nearest one around it.
    #[must_use]
    pub fn find(&self, path: &str) -> Position {
        let mut here = self;
        for step in steps(path) {
            let Some(part) = here.parts.get(&step) else { break };
            here = part;
        }
        here.at
    }

    /// The positions of a part, with paths that begin there. Of a part that is not there, those of nothing.
    #[must_use]
    pub fn part(&self, path: &str) -> Self {
        let mut steps = steps(path).into_iter();
        steps.try_fold(self, |here, step| here.parts.get(&step)).cloned().unwrap_or_default()
    }
}

/// One step of a normalised path. Envoy's fields are written `filter_chains` or `filterChains`, and told either way.
fn step(key: &str) -> String {
    let plain = key.chars().filter(|c| *c != '_').flat_map(char::to_lowercase);
    std::iter::once('.').chain(plain).collect()
}

/// The steps of a path as problems name it: `spec.rules[0].host`, `metadata.annotations["a.b/c"].d`.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let after = rest.strip_prefix('.').unwrap_or(rest);
        if let Some((key, more)) = after.strip_prefix("[\"").and_then(|quoted| quoted.split_once("\"]")) {
            steps.push(step(key));
            rest = more;
        } else if let Some((index, more)) = after.strip_prefix('[').and_then(|index| index.split_once(']')) {
            steps.push(format!("[{index}]"));
            rest = more;
        } else {
            // A bracket that is never closed is part of a key that somebody wrote so.
            let from = usize::from(after.starts_with('['));
            let end = after[from..].find(['.', '[']).map_or(after.len(), |at| from + at);
            let (key, more) = after.split_at(end);
            steps.push(step(key));
            rest = more;
        }
    }
    steps
}
