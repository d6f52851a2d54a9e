//! Nodes whose stream ended or began anew a moment ago. What they said before stands for a while, so that a loader that is
//! restarted shows in no status; then it is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time for a node to come back, and again to say anew what it runs. A pod that is replaced takes some ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// When to forget what which node said.
#[derive(Debug, Default)]
pub(super) struct Departures {
    until: BTreeMap<Arc<str>, Instant>,
    order: BTreeSet<(Instant, Arc<str>)>,
}

impl Departures {
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
        if let Some(before) = self.until.insert(node.clone(), now + PATIENCE) {
            self.order.remove(&(before, node.clone()));
        }
        self.order.insert((now + PATIENCE, node.clone()));
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
        let (mut departures, t) = (Departures::default(), Instant::now());
        let node: Arc<str> = "n".into();
        departures.connected(&node, t);
        assert_eq!(departures.next(), None, "a node that was never here has said nothing");
        departures.gone(&node, t);
        let back = t + PATIENCE / 2;
        departures.connected(&node, back);
        assert_eq!((departures.take(t + PATIENCE), departures.next()), (None, Some(back + PATIENCE)));
        assert_eq!(departures.take(back + PATIENCE), Some(node));
        assert_eq!(departures.next(), None);
    }
}
