//! How often the status of one object is written. Pure: moments come from outside.
//!
//! News (another verdict, reason or generation) go out 200 ms after the last write. Mere progress, such as 17 of 1,000 nodes,
//! waits longer each time, up to five seconds: a rollout of any size is a handful of writes, and its end is told at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{Target, Write, engine::ConfigStatus};

/// Least time between two writes of one status.
const NEWS: Duration = Duration::from_millis(200);
/// Most time that progress waits.
const PROGRESS: Duration = Duration::from_secs(5);
/// After so long without a write a status has its whole haste again.
const REST: Duration = Duration::from_secs(10);

/// The statuses that were written a moment ago. Every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct Paces {
    paces: BTreeMap<Target, Pace>,
    rested: BTreeSet<(Instant, Target)>,
}

#[derive(Debug)]
struct Pace {
    last: Instant,
    /// Time until progress may be written.
    step: Duration,
    shown: ConfigStatus,
}

impl Paces {
    /// When a write may be made.
    pub(super) fn due(&mut self, write: &Write, now: Instant) -> Instant {
        self.rest(now);
        let Write::ConfigStatus { object, status } = write else { return now };
        let Some(pace) = self.paces.get(&Target::ConfigStatus(object.clone())) else { return now };
        let step = if status.same_verdict(&pace.shown) { pace.step } else { NEWS };
        now.max(pace.last + step)
    }

    /// A write was made, or tried.
    pub(super) fn wrote(&mut self, write: &Write, now: Instant) {
        let Write::ConfigStatus { object, status } = write else { return };
        let target = Target::ConfigStatus(object.clone());
        let before = self.paces.remove(&target);
        if let Some(pace) = &before {
            self.rested.remove(&(pace.last + REST, target.clone()));
        }
        let step = match before {
            Some(pace) if status.same_verdict(&pace.shown) => (pace.step * 2).min(PROGRESS),
            Some(pace) => pace.step,
            None => NEWS,
        };
        self.rested.insert((now + REST, target.clone()));
        self.paces.insert(target, Pace { last: now, step, shown: status.clone() });
    }

    fn rest(&mut self, now: Instant) {
        while self.rested.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, target)) = self.rested.pop_first() {
                self.paces.remove(&target);
            }
        }
    }
}

#[cfg(test)]
mod tests;
