//! How long Envoy has been away, and what went around it meanwhile.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::datapath::{Counters, Reason, ServiceId};

/// Envoy may take so long to come for the first time.
const START: Duration = Duration::from_secs(60);
/// Envoy may take so long to come back before anybody is told.
const RESTART: Duration = Duration::from_secs(5);
/// After Envoy came: its listeners are open again, in all likelihood.
const SETTLED: Duration = Duration::from_secs(1);

/// Two clocks, of which one runs: while Envoy is away, and right after it came back.
pub(super) struct Away {
    told_at: Option<Instant>,
    summed_at: Option<Instant>,
    /// When Envoy was lost.
    bypassed: BTreeMap<ServiceId, u64>,
}

impl Away {
    pub(super) fn new(now: Instant) -> Self {
        Self { told_at: Some(now + START), summed_at: None, bypassed: BTreeMap::new() }
    }

    pub(super) fn lost(&mut self, now: Instant, counters: &Counters) {
        if self.summed_at.take().is_none() {
            // Else it was lost again before anything was said of the last time.
            self.bypassed = bypassed(counters);
        }
        self.told_at = Some(now + RESTART);
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.told_at = None;
        self.summed_at = Some(now + SETTLED);
    }

    /// Envoy's stream is gone but it still listens: asked again later.
    pub(super) fn listens(&mut self, now: Instant) {
        self.told_at = Some(now + RESTART);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.told_at.or(self.summed_at)
    }

    /// Once, when Envoy has been away for too long.
    pub(super) fn is_long(&mut self, now: Instant) -> bool {
        self.told_at.take_if(|at| *at <= now).is_some()
    }

    /// Once, when Envoy has been back for a moment.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.summed_at.take_if(|at| *at <= now).is_some()
    }

    /// How many connections of each Service went around Envoy since it was lost.
    pub(super) fn sum(&self, counters: &Counters) -> BTreeMap<ServiceId, u64> {
        let since = |(service, sum): (ServiceId, u64)| {
            let before = self.bypassed.get(&service).copied().unwrap_or_default();
            (service, sum.saturating_sub(before))
        };
        bypassed(counters).into_iter().map(since).filter(|(_, sum)| *sum > 0).collect()
    }
}

fn bypassed(counters: &Counters) -> BTreeMap<ServiceId, u64> {
    let those = counters.iter().filter(|((_, reason), _)| *reason == Reason::Bypassed);
    those.map(|((service, _), sum)| (*service, *sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(bypassed: u64) -> Counters {
        Counters::from([((ServiceId(1), Reason::Bypassed), bypassed), ((ServiceId(1), Reason::Taken), 9)])
    }

    #[tokio::test]
    async fn a_short_absence_is_summed_up_and_a_long_one_is_told() {
        let now = Instant::now();
        let mut away = Away::new(now);
        assert!(!away.is_long(now) && away.is_long(now + START) && !away.is_long(now + START));
        away.connected(now);
        assert!(!away.is_over(now) && away.is_over(now + SETTLED) && away.next().is_none());
        away.lost(now, &counters(3));
        assert_eq!(away.next(), Some(now + RESTART));
        away.connected(now);
        assert!(!away.is_long(now + RESTART) && away.sum(&counters(3)).is_empty());
        // Lost again at once: what went around Envoy the first time is not forgotten.
        away.lost(now, &counters(5));
        assert_eq!(away.sum(&counters(8)), BTreeMap::from([(ServiceId(1), 5)]));
        assert!(away.is_long(now + RESTART));
        away.listens(now + RESTART);
        assert!(!away.is_long(now + RESTART) && away.is_long(now + RESTART * 2));
    }
}
