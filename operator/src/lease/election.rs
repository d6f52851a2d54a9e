//! Who may write: the decisions of leader election, without clock or I/O.
//!
//! As in client-go, no remote clock is trusted. A lease counts as abandoned when this replica has not seen it *change* for
//! the whole lease duration, measured by its own monotonic clock.

use std::time::{Duration, Instant};

/// Time limits of an election, all measured on one replica's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A lease that did not change for so long is free for others.
    pub duration: Duration,
    /// A holder that could not renew for so long stops writing. Shorter than `duration`, so that no two replicas write.
    pub give_up: Duration,
    /// How often the holder renews.
    pub renew: Duration,
    /// Pause after a failed attempt to write the lease.
    pub retry: Duration,
}

impl Default for Terms {
    /// client-go's defaults: 15 s, 10 s; renewed every 5 s, retried after 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            give_up: Duration::from_secs(10),
            renew: Duration::from_secs(5),
            retry: Duration::from_secs(2),
        }
    }
}

/// The lease as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Identity of the holder, empty when it was released.
    pub holder: String,
    /// `metadata.resourceVersion`: changes with every renewal, and makes our own write conditional.
    pub version: String,
    /// How often the holder changed.
    pub transitions: i32,
    /// How long the holder may be silent.
    pub duration: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody has made the lease: create it.
    Create,
    /// Write ourselves into the lease of this version.
    Write {
        /// Version that the write must replace.
        version: String,
        /// Value of `leaseTransitions` to write.
        transitions: i32,
    },
    /// Nothing, unless the lease changes before.
    Wait(Instant),
}

/// One replica's part in the election.
#[derive(Debug)]
pub struct Election {
    me: String,
    terms: Terms,
    seen: Option<(Option<Record>, Instant)>,
    held_since: Option<Instant>,
    not_before: Option<Instant>,
}

impl Election {
    /// A replica that knows nothing yet.
    #[must_use]
    pub fn new(me: impl Into<String>, terms: Terms) -> Self {
        Self { me: me.into(), terms, seen: None, held_since: None, not_before: None }
    }

    /// The lease was read, or found absent.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) {
        let lost = record.as_ref().is_none_or(|record| record.holder != self.me);
        if lost {
            self.held_since = None;
        }
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record, now));
        }
    }

    /// We wrote the lease; `asked` is when the request was sent, the earliest moment that others may have seen.
    pub fn written(&mut self, record: Record, asked: Instant) {
        self.seen = Some((Some(record), asked));
        self.held_since = Some(asked);
        self.not_before = None;
    }

    /// A write failed: somebody was faster, or the server is away.
    pub fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + self.terms.retry);
    }

    /// Whether this replica may write now.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.held_until().is_some_and(|until| now < until)
    }

    /// Whether the lease, as last seen, is another replica's.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let seen = self.seen.as_ref().and_then(|(record, _)| record.as_ref());
        seen.is_some_and(|record| !record.holder.is_empty() && record.holder != self.me)
    }

    /// Until when this replica may write if it does not renew.
    #[must_use]
    pub fn held_until(&self) -> Option<Instant> {
        self.held_since.map(|since| since + self.terms.give_up)
    }

    /// How long a write that is sent `now` may take: a holder's must not outlive its claim.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        self.held_until().filter(|until| now < *until).unwrap_or(now + self.terms.give_up)
    }

    /// What to do at `now`.
    #[must_use]
    pub fn step(&self, now: Instant) -> Step {
        // Before the first reading there is nothing to decide on; the reading itself wakes us.
        let Some((seen, since)) = &self.seen else { return Step::Wait(now + self.terms.duration) };
        if let Some(until) = self.not_before.filter(|until| now < *until) {
            return Step::Wait(until);
        }
        let Some(record) = seen else { return Step::Create };
        let (due, transitions) = if record.holder == self.me {
            (self.held_since.map(|since| since + self.terms.renew), record.transitions)
        } else if record.holder.is_empty() {
            (None, record.transitions.saturating_add(1))
        } else {
            (Some(*since + record.duration.max(self.terms.duration)), record.transitions.saturating_add(1))
        };
        match due.filter(|due| now < *due) {
            Some(due) => Step::Wait(due),
            None => Step::Write { version: record.version.clone(), transitions },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: u32) -> Record {
        Record {
            holder: holder.into(),
            version: version.to_string(),
            transitions: 3,
            duration: Duration::from_secs(15),
        }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_one_creates_the_lease_and_renews_it() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        assert!(matches!(election.step(t), Step::Wait(_)));
        election.observe(None, t);
        assert_eq!(election.step(t), Step::Create);
        election.written(record("a", 1), t);
        assert!(election.holds(t));
        assert_eq!(election.step(t), Step::Wait(after(t, 5)));
        assert_eq!(election.step(after(t, 5)), Step::Write { version: "1".into(), transitions: 3 });
    }

    #[test]
    fn another_holder_is_left_alone_as_long_as_it_renews() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        for (version, seconds) in (1..).zip((0..60).step_by(5)) {
            election.observe(Some(record("b", version)), after(t, seconds));
            assert_eq!(election.step(after(t, seconds)), Step::Wait(after(t, seconds + 15)));
        }
    }

    #[test]
    fn a_silent_holder_loses_the_lease_only_after_its_full_duration() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        election.observe(Some(record("b", 7)), t);
        election.observe(Some(record("b", 7)), after(t, 10));
        assert_eq!(election.step(after(t, 14)), Step::Wait(after(t, 15)));
        assert_eq!(election.step(after(t, 15)), Step::Write { version: "7".into(), transitions: 4 });
    }

    #[test]
    fn a_lease_is_taken_by_another_holder_only() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        assert!(!election.is_taken());
        for (holder, taken) in [("a", false), ("", false), ("b", true)] {
            election.observe(Some(record(holder, 9)), t);
            assert_eq!(election.is_taken(), taken, "{holder:?}");
        }
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        election.observe(Some(record("", 8)), t);
        assert_eq!(election.step(t), Step::Write { version: "8".into(), transitions: 4 });
    }

    #[test]
    fn a_holder_that_cannot_renew_stops_before_others_may_start() {
        let t = Instant::now();
        let (mut holder, mut rival) = (Election::new("a", Terms::default()), Election::new("b", Terms::default()));
        holder.observe(None, t);
        holder.written(record("a", 1), t);
        rival.observe(Some(record("a", 1)), t);
        holder.failed(after(t, 5));
        assert_eq!(holder.step(after(t, 5)), Step::Wait(after(t, 7)));
        for seconds in 0..30 {
            let now = after(t, seconds);
            let rival_writes = matches!(rival.step(now), Step::Write { .. });
            assert!(!(holder.holds(now) && rival_writes), "two writers after {seconds} s");
        }
        assert!(!holder.holds(after(t, 10)));
    }

    #[test]
    fn a_holder_that_lost_its_claim_has_time_to_take_it_again() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        election.observe(None, t);
        assert_eq!(election.deadline(t), after(t, 10));
        election.written(record("a", 1), t);
        assert_eq!(election.deadline(after(t, 6)), after(t, 10));
        assert_eq!(election.deadline(after(t, 12)), after(t, 22));
        assert!(matches!(election.step(after(t, 12)), Step::Write { .. }));
    }

    #[test]
    fn a_lease_in_foreign_hands_ends_our_own_claim() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        election.observe(None, t);
        election.written(record("a", 1), t);
        election.observe(Some(record("b", 2)), after(t, 1));
        assert!(!election.holds(after(t, 1)));
    }

    #[test]
    fn a_restarted_holder_takes_its_own_lease_again() {
        let t = Instant::now();
        let mut election = Election::new("a", Terms::default());
        election.observe(Some(record("a", 4)), t);
        assert!(!election.holds(t));
        assert_eq!(election.step(t), Step::Write { version: "4".into(), transitions: 3 });
    }
}
