//! How soon an Envoy that ended is started again.

use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Short, as what Envoy dies of is found by its deaths, and all else waits for it meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// An Envoy that ran this long did not die of its start.
const STABLE: Duration = Duration::from_secs(10);

/// Counts the Envoys that died young, one after another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pacing {
    short_lives: u32,
}

impl Pacing {
    /// Envoy ended after `lived`: the pause before the next one.
    pub(crate) fn ended(&mut self, lived: Duration) -> Duration {
        self.short_lives = if lived > STABLE { 1 } else { self.short_lives.saturating_add(1) };
        // Beyond that it is the longest in any case.
        let doublings = (self.short_lives - 1).min(8);
        (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
    }

    /// How many ended since the last one that lived long, that one included.
    pub(crate) fn short_lives(&self) -> u32 {
        self.short_lives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_second_and_begin_anew_after_a_long_life() {
        let mut pacing = Pacing::default();
        let mut pause = |lived| u64::try_from(pacing.ended(Duration::from_millis(lived)).as_millis()).unwrap();
        let pauses: Vec<_> = (0..6).map(|_| pause(80)).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 500, 500]);
        assert_eq!((pause(10_001), pause(80)), (50, 100));
        assert_eq!((0..100).map(|_| pause(0)).max(), Some(500));
    }

    #[test]
    fn short_lives_are_counted_since_the_last_long_one() {
        let mut pacing = Pacing::default();
        let mut after = |lived| {
            pacing.ended(Duration::from_secs(lived));
            pacing.short_lives()
        };
        assert_eq!([after(0), after(1), after(10), after(11), after(0)], [1, 2, 3, 1, 2]);
    }
}
