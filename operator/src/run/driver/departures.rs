//! Nodes whose stream ended or began anew a moment ago. What they said before stands for a while, so that a loader that is
//! restarted shows in no status; then it is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// When to forget what which node said.
#[derive(Debug)]
pub(super) struct Departures {
    /// Time for a node to come back, and again to say anew what it runs.
    grace: Duration,
    until: BTreeMap<Arc<str>, Instant>,
    order: BTreeSet<(Instant, Arc<str>)>,
}

impl Departures {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, until: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// The node's stream ended.
    pub(super) fn gone(&mut self, node: &Arc<str>, now: Instant) {
        self.put(node, now);
    }

    /// The node has a stream. One that was here before has time again to repeat what it said.
    pub(super) fn connected(&mut self, node: &Arc<str>, now: Instant) {
        if self.until.contains_key(node) {
            self.put(node, now);
        }
    }

    fn put(&mut self, node: &Arc<str>, now: Instant) {
        let until = now + self.grace;
        if let Some(before) = self.until.insert(node.clone(), until) {
            self.order.remove(&(before, node.clone()));
        }
        self.order.insert((until, node.clone()));
    }

    /// A node whose time is over.
    pub(super) fn take(&mut self, now: Instant) -> Option<Arc<str>> {
        if self.next()? > now {
            return None;
        }
        let (_, node) = self.order.pop_first()?;
        self.until.remove(&node);
        Some(node)
    }

    /// When there will be one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_time_after_it_went_and_again_after_it_came() {
        const GRACE: Duration = Duration::from_secs(30);
        let (mut departures, t) = (Departures::new(GRACE), Instant::now());
        let node: Arc<str> = "n".into();
        departures.connected(&node, t);
        assert_eq!(departures.next(), None, "a node that was never here has said nothing");
        departures.gone(&node, t);
        let back = t + GRACE / 2;
        departures.connected(&node, back);
        assert_eq!((departures.take(t + GRACE), departures.next()), (None, Some(back + GRACE)));
        assert_eq!(departures.take(back + GRACE), Some(node));
        assert_eq!(departures.next(), None);
    }
}
