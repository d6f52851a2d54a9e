//! What nodes say of the resources that they got.
//!
//! Kept by resource, as one bit for each node: a thousand nodes that run four thousand resources are half a megabyte, and
//! counting the nodes that run an object costs a bit test each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_xds::{Key, Outcome};

use self::numbers::{NodeSet, Numbers};

mod numbers;

/// How far an object got on the nodes that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Nodes that the object is for and that should serve: those with a loader, connected or not.
    pub nodes: usize,
    /// Of these, nodes that run its current version.
    pub done: usize,
    /// Of these, connected nodes that have not said yet what became of it, in order.
    pub waiting: Vec<Arc<str>>,
    /// Of these, nodes that are not connected, in order.
    pub absent: Vec<Arc<str>>,
    /// Refusals of the current version, in order of nodes.
    pub rejections: Vec<Rejection>,
}

/// One resource that one node refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The node's name.
    pub node: Arc<str>,
    /// The resource's name.
    pub resource: Arc<str>,
    /// Envoy's own words, or the kernel's.
    pub message: Arc<str>,
}

/// What one node last said of a version of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Nothing,
    Runs,
    Refuses(&'a Arc<str>),
}

/// A node's numbers: what was said on its present stream goes under one, what was said before under another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Voice {
    present: Option<usize>,
    former: Option<usize>,
}

/// What was said of one resource.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// By version, who runs it. More than one while an edit rolls out.
    runs: Vec<(Arc<str>, NodeSet)>,
    refuses: BTreeMap<usize, (Option<Arc<str>>, Arc<str>)>,
}

/// The last answer of each node to each resource, and which nodes there should be.
#[derive(Debug, Default)]
pub(super) struct Answers {
    voices: BTreeMap<Arc<str>, Voice>,
    numbers: Numbers,
    heard: BTreeMap<Key, Heard>,
    expected: BTreeSet<Arc<str>>,
}

impl Answers {
    pub(super) fn connected(&mut self, node: &str) {
        let voice = self.voices.entry(node.into()).or_default();
        if voice.present.is_none() {
            voice.present = Some(self.numbers.take());
        }
    }

    /// What the node said stands until [`Self::forget`]: it still runs it, and mostly comes back at once.
    pub(super) fn gone(&mut self, node: &str) {
        let Some(voice) = self.voices.get_mut(node) else { return };
        let Some(present) = voice.present.take() else { return };
        if let Some(former) = voice.former.replace(present) {
            self.release(former);
        }
    }

    /// Drops what the node said on streams that ended. Costs all resources.
    pub(super) fn forget(&mut self, node: &str) {
        let Some(voice) = self.voices.get_mut(node) else { return };
        let former = voice.former.take();
        if voice.present.is_none() {
            self.voices.remove(node);
        }
        if let Some(former) = former {
            self.release(former);
        }
    }

    fn release(&mut self, number: usize) {
        for heard in self.heard.values_mut() {
            heard.forget(number);
        }
        self.heard.retain(|_, heard| !heard.is_empty());
        self.numbers.give_back(number);
    }

    /// The nodes that have a loader. False when that is no news.
    pub(super) fn expect(&mut self, nodes: BTreeSet<Arc<str>>) -> bool {
        let news = self.expected != nodes;
        self.expected = nodes;
        news
    }

    /// Nodes that are connected, or were a moment ago.
    pub(super) fn present(&self) -> impl Iterator<Item = (&Arc<str>, Voice)> {
        self.voices.iter().map(|(node, voice)| (node, *voice))
    }

    /// Nodes that have a loader but are not connected.
    pub(super) fn absent(&self) -> impl Iterator<Item = &Arc<str>> {
        self.expected.iter().filter(|node| !self.voices.contains_key(*node))
    }

    /// How many nodes have a stream open.
    pub(super) fn connections(&self) -> usize {
        self.voices.values().filter(|voice| voice.present.is_some()).count()
    }

    pub(super) fn note(&mut self, node: &str, outcome: &Outcome) {
        let Some(number) = self.voices.get(node).and_then(|voice| voice.present) else { return };
        let (Outcome::Acked { type_url, name, .. } | Outcome::Nacked { type_url, name, .. }) = outcome;
        let key = (type_url.clone(), name.clone());
        let heard = self.heard.entry(key.clone()).or_default();
        heard.forget(number);
        match outcome {
            Outcome::Acked { version: Some(version), .. } => heard.runs(number, version),
            Outcome::Acked { version: None, .. } => {}
            Outcome::Nacked { version, message, .. } => {
                heard.refuses.insert(number, (version.clone(), message.as_str().into()));
            }
        }
        if heard.is_empty() {
            self.heard.remove(&key);
        }
    }

    pub(super) fn heard(&self, key: &Key) -> Option<&Heard> {
        self.heard.get(key)
    }
}

impl Heard {
    /// What a node said of a version. What it says on its present stream counts more than what it said before.
    pub(super) fn said(&self, voice: Voice, version: &str) -> Said<'_> {
        let said = [voice.present, voice.former].into_iter().flatten().map(|number| self.of(number, version));
        said.into_iter().find(|said| *said != Said::Nothing).unwrap_or(Said::Nothing)
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refuses.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.refuses.is_empty()
    }

    fn forget(&mut self, number: usize) {
        self.refuses.remove(&number);
        self.runs.retain_mut(|(_, nodes)| {
            nodes.remove(number);
            !nodes.is_empty()
        });
    }

    fn runs(&mut self, number: usize, version: &Arc<str>) {
        if let Some((_, nodes)) = self.runs.iter_mut().find(|(known, _)| known == version) {
            nodes.insert(number);
            return;
        }
        let mut nodes = NodeSet::default();
        nodes.insert(number);
        self.runs.push((version.clone(), nodes));
    }

    /// An answer to another version says nothing.
    fn of(&self, number: usize, version: &str) -> Said<'_> {
        match self.refuses.get(&number) {
            Some((Some(refused), message)) if **refused == *version => return Said::Refuses(message),
            _ => {}
        }
        let runs = self.runs.iter().any(|(known, nodes)| **known == *version && nodes.contains(number));
        if runs { Said::Runs } else { Said::Nothing }
    }
}

#[cfg(test)]
mod tests;
