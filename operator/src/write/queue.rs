//! Writes that wait, as plain data: the last one for a target counts, one at a time per target, failures come back later.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::pace::Paces;
use crate::{Target, Write};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Written, or there is nothing left to write to.
    Done,
    /// Try again later.
    Failed,
    /// The API server asks for a pause: nothing at all is written for so long.
    Throttled(Duration),
}

/// The waiting writes. Every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Target, Waiting>,
    due: BTreeSet<(Instant, Target)>,
    in_flight: BTreeMap<Target, u32>,
    paces: Paces,
    pause: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    write: Write,
    due: Instant,
    failures: u32,
}

impl Queue {
    /// Adds a write, instead of an earlier one for the same target.
    pub(super) fn push(&mut self, write: Write, now: Instant) {
        let target = write.target();
        // The same again does not jump the queue; news forget the failures of what they replace.
        if self.waiting.get(&target).is_some_and(|waiting| waiting.write == write) {
            return;
        }
        let due = self.paces.due(&write, now);
        self.insert(target, Waiting { write, due, failures: 0 });
    }

    /// Forgets all that waits; what is being written stays known until [`Self::settle`].
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.due.clear();
    }

    /// The next write that is due, now in flight.
    pub(super) fn take(&mut self, now: Instant) -> Option<Write> {
        if self.next_due()? > now {
            return None;
        }
        let (_, target) = self.due.pop_first()?;
        let Waiting { write, failures, .. } = self.waiting.remove(&target)?;
        self.in_flight.insert(target, failures);
        Some(write)
    }

    /// The attempt on a write that was taken is over.
    pub(super) fn settle(&mut self, write: Write, attempt: Attempt, now: Instant) {
        let target = write.target();
        let failures = self.in_flight.remove(&target).unwrap_or(0);
        self.paces.wrote(&write, now);
        if let Attempt::Throttled(pause) = attempt {
            self.pause = self.pause.max(Some(now + pause));
        }
        match self.waiting.remove(&target) {
            // A newer one came meanwhile: it takes the turn, whatever became of this one.
            Some(newer) => {
                let due = newer.due.max(self.paces.due(&newer.write, now));
                self.insert(target, Waiting { due, ..newer });
            }
            None if attempt != Attempt::Done => {
                let failures = failures.saturating_add(1);
                let retry = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10)).min(LAST_RETRY);
                self.insert(target, Waiting { write, due: now + retry, failures });
            }
            None => {}
        }
    }

    /// When [`Self::take`] will have something again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        Some(self.pause.map_or(*due, |pause| pause.max(*due)))
    }

    /// How many wait or are in flight.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    fn insert(&mut self, target: Target, waiting: Waiting) {
        if let Some(replaced) = self.waiting.get(&target) {
            self.due.remove(&(replaced.due, target.clone()));
        }
        // A target in flight is due again only when that write is over.
        if !self.in_flight.contains_key(&target) {
            self.due.insert((waiting.due, target.clone()));
        }
        self.waiting.insert(target, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{LoadBalancerAddress, Name};

    fn delete(name: &str) -> Write {
        Write::DeleteService(Name::new("default", name))
    }

    fn status(addresses: &[LoadBalancerAddress]) -> Write {
        Write::IngressStatus { ingress: Name::new("default", "web"), addresses: addresses.to_vec() }
    }

    fn address() -> LoadBalancerAddress {
        LoadBalancerAddress { hostname: Some("lb.example".to_owned()), ..LoadBalancerAddress::default() }
    }

    #[test]
    fn only_the_last_write_for_a_target_is_done() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.push(status(&[]), t);
        queue.push(status(&[address()]), t);
        queue.push(delete("a"), t);
        assert_eq!(queue.len(), 2);
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(t)).collect();
        assert!(taken.contains(&status(&[address()])) && taken.contains(&delete("a")));
    }

    #[test]
    fn a_target_is_written_by_one_attempt_at_a_time() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.push(status(&[]), t);
        let first = queue.take(t).unwrap();
        queue.push(status(&[address()]), t);
        assert_eq!((queue.take(t), queue.next_due()), (None, None));
        queue.settle(first, Attempt::Failed, t);
        assert_eq!(queue.take(t), Some(status(&[address()])));
    }

    #[test]
    fn failures_come_back_later_and_later_and_news_at_once() {
        let (mut queue, mut t) = (Queue::default(), Instant::now());
        queue.push(delete("a"), t);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let write = queue.take(t).unwrap();
            queue.settle(write, Attempt::Failed, t);
            let next = queue.next_due().unwrap();
            assert_eq!(queue.take(t), None);
            pauses.push((next - t).as_millis());
            t = next;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        let write = queue.take(t).unwrap();
        queue.settle(write, Attempt::Done, t);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_pause_that_the_api_server_asks_for_holds_for_every_write() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        let pause = Duration::from_secs(3);
        queue.push(delete("a"), t);
        queue.push(delete("b"), t);
        let write = queue.take(t).unwrap();
        queue.settle(write, Attempt::Throttled(pause), t);
        assert_eq!((queue.take(t), queue.next_due()), (None, Some(t + pause)));
        queue.push(delete("c"), t);
        assert_eq!(queue.take(t + pause / 2), None);
        assert_eq!(std::iter::from_fn(|| queue.take(t + pause)).count(), 3, "and nothing is lost");
    }

    #[test]
    fn saying_the_same_again_does_not_shorten_the_wait() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.push(delete("a"), t);
        let write = queue.take(t).unwrap();
        queue.settle(write.clone(), Attempt::Failed, t);
        queue.push(write, t);
        assert_eq!(queue.take(t), None);
    }

    #[test]
    fn what_is_cleared_does_not_come_back() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.push(delete("a"), t);
        queue.push(delete("b"), t);
        let flying = queue.take(t).unwrap();
        queue.clear();
        queue.settle(flying, Attempt::Done, t);
        assert_eq!((queue.len(), queue.next_due()), (0, None));
    }
}
