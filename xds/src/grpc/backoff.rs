//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
/// Of two replicas of an operator one refuses, and which is asked is chance: after ten attempts in vain the others should not be
/// a minute away. A refusal costs a packet.
const LAST: Duration = Duration::from_secs(2);

/// Doubles from 50 ms to 2 s. Each wait is somewhere between half and all of that, so that the clients of a server that
/// died do not come back all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure.
    pub(super) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        // The standard library seeds every hasher at random: enough to spread, not for secrets.
        let random = RandomState::new().hash_one(self.failures) as u32;
        full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_bounds_and_starts_over() {
        let mut backoff = Backoff::default();
        for full in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = backoff.next();
            let full = Duration::from_millis(full);
            assert!(full / 2 <= wait && wait <= full, "{wait:?} for {full:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
