//! Listeners and routes that Envoy has not answered yet: a busy Envoy takes its time, one that is stuck must not keep
//! everything else waiting.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axoneme_xds::Key;
use tokio::time::Instant;

/// Longer than Envoy waits for what a resource needs, 15 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was offered last of each name, in order of time.
#[derive(Debug, Default)]
pub(super) struct Answers {
    latest: BTreeMap<Key, Arc<str>>,
    offered: VecDeque<(Instant, Key, Arc<str>)>,
}

impl Answers {
    /// Begins to wait for the answer to a version.
    pub(super) fn await_answer(&mut self, key: Key, version: Arc<str>, now: Instant) {
        self.offered.push_back((now + PATIENCE, key.clone(), version.clone()));
        self.latest.insert(key, version);
    }

    /// Envoy took a version or refused it.
    pub(super) fn answered(&mut self, key: &Key, version: &str) {
        if self.latest.get(key).is_some_and(|latest| **latest == *version) {
            self.latest.remove(key);
        }
    }

    /// Not offered any more.
    pub(super) fn gone(&mut self, key: &Key) {
        self.latest.remove(key);
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.offered.front().map(|(until, ..)| *until)
    }

    /// What should have been answered by now.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(Key, Arc<str>)> {
        let mut overdue = Vec::new();
        while self.next().is_some_and(|until| until <= now) {
            let Some((_, key, version)) = self.offered.pop_front() else { break };
            if self.latest.get(&key) == Some(&version) {
                self.latest.remove(&key);
                overdue.push((key, version));
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_nothing_was_said_of_is_overdue() {
        let (start, mut answers) = (Instant::now(), Answers::default());
        let key = |name: &str| -> Key { ("t".into(), name.into()) };
        for (name, version) in [("said", "1"), ("gone", "1"), ("silent", "1"), ("changed", "1"), ("changed", "2")] {
            answers.await_answer(key(name), version.into(), start);
        }
        answers.answered(&key("said"), "1");
        answers.answered(&key("silent"), "0");
        answers.gone(&key("gone"));
        assert_eq!((answers.next(), answers.overdue(start)), (Some(start + PATIENCE), vec![]));
        let overdue = answers.overdue(start + PATIENCE);
        assert_eq!(overdue, [(key("silent"), "1".into()), (key("changed"), "2".into())]);
        assert_eq!((answers.next(), answers.latest.len()), (None, 0));
    }
}
