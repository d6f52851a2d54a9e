//! Frontends whose connections are still at the proxy: counted only while there are any.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::Instant;

use crate::envoy_process::DRAIN_TIME;

/// Counting walks the kernel's socket table.
const PAUSE: Duration = Duration::from_millis(250);

/// Longer than Envoy takes to end the connections of a listener that it was told to drop.
const LAST: Duration = DRAIN_TIME.saturating_add(Duration::from_secs(5));

/// The frontends that drain.
#[derive(Debug)]
pub(super) struct Draining {
    timeout: Duration,
    frontends: BTreeMap<SocketAddr, Drain>,
    next: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Drain {
    until: Instant,
    /// As counted last.
    connections: usize,
    /// Envoy has been told.
    last: bool,
}

/// What became of a frontend, with the connections that it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// The connections have ended.
    Empty(SocketAddr),
    /// Their time is up: Envoy is to end them. It is looked at on.
    Expired(SocketAddr, usize),
    /// Envoy has not done so.
    Late(SocketAddr, usize),
}

impl Draining {
    /// None drains. Each gets `timeout`, and then as long as Envoy needs.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, frontends: BTreeMap::new(), next: None }
    }

    /// Begins to look at a frontend. One that drains already keeps its time.
    pub(super) fn begin(&mut self, frontend: SocketAddr, now: Instant) {
        self.frontends.entry(frontend).or_insert(Drain { until: now + self.timeout, connections: 0, last: false });
        self.next.get_or_insert(now + PAUSE);
    }

    /// The frontend is in use again.
    pub(super) fn end(&mut self, frontend: SocketAddr) {
        self.frontends.remove(&frontend);
        self.next = self.next.filter(|_| !self.frontends.is_empty());
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// How many connections a frontend has, as counted last, and how long they may stay before Envoy ends them.
    pub(super) fn progress(&self, frontend: SocketAddr, now: Instant) -> Option<(usize, Duration)> {
        self.frontends.get(&frontend).map(|drain| {
            let left = if drain.last { Duration::ZERO } else { drain.until.saturating_duration_since(now) };
            (drain.connections, left)
        })
    }

    /// Counts connections if it is time to, all in one go: frontends without any, and frontends whose time is up all the same.
    /// If they cannot be counted, there may be some.
    pub(super) fn look(
        &mut self,
        now: Instant,
        count: impl FnOnce(&BTreeSet<SocketAddr>) -> Option<BTreeMap<SocketAddr, usize>>,
    ) -> Vec<Drained> {
        let mut drained = Vec::new();
        if self.next.is_none_or(|next| next > now) {
            return drained;
        }
        let counted = count(&self.frontends.keys().copied().collect());
        self.frontends.retain(|frontend, drain| {
            if let Some(counted) = &counted {
                drain.connections = counted.get(frontend).copied().unwrap_or(0);
            }
            if counted.is_some() && drain.connections == 0 {
                drained.push(Drained::Empty(*frontend));
                return false;
            }
            if now < drain.until {
                return true;
            }
            if drain.last {
                drained.push(Drained::Late(*frontend, drain.connections));
                return false;
            }
            drained.push(Drained::Expired(*frontend, drain.connections));
            *drain = Drain { until: now + LAST, last: true, ..*drain };
            true
        });
        self.next = (!self.frontends.is_empty()).then(|| now + PAUSE);
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontends() -> (SocketAddr, SocketAddr) {
        ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
    }

    #[tokio::test]
    async fn waits_for_connections_but_not_for_ever() {
        let ((idle, busy), start) = (frontends(), Instant::now());
        let mut draining = Draining::new(Duration::from_secs(1));
        assert_eq!(draining.next(), None);
        draining.begin(idle, start);
        draining.begin(busy, start);
        let count = |all: &BTreeSet<SocketAddr>| all.contains(&busy).then(|| BTreeMap::from([(busy, 3)]));
        assert_eq!(draining.look(start, count), []);
        assert_eq!(draining.look(start + PAUSE, count), [Drained::Empty(idle)]);
        assert_eq!(draining.progress(busy, start + PAUSE), Some((3, Duration::from_secs(1) - PAUSE)));
        let up = start + Duration::from_secs(1);
        assert_eq!(draining.look(up, count), [Drained::Expired(busy, 3)]);
        assert_eq!(draining.progress(busy, up), Some((3, Duration::ZERO)));
        assert_eq!(draining.look(up + PAUSE, count), []);
        assert_eq!(draining.look(up + LAST, count), [Drained::Late(busy, 3)]);
        assert_eq!((draining.next(), draining.progress(busy, start)), (None, None));
    }

    #[tokio::test]
    async fn who_cannot_be_counted_has_its_time() {
        let ((idle, _), start) = (frontends(), Instant::now());
        let mut draining = Draining::new(Duration::from_secs(1));
        draining.begin(idle, start);
        assert_eq!(draining.look(start + PAUSE, |_| None), []);
        let up = start + Duration::from_secs(1);
        assert_eq!(draining.look(up, |_| None), [Drained::Expired(idle, 0)]);
        assert_eq!(draining.look(up + LAST, |_| None), [Drained::Late(idle, 0)]);
    }

    #[tokio::test]
    async fn a_frontend_in_use_again_is_left_alone() {
        let ((frontend, _), start) = (frontends(), Instant::now());
        let mut draining = Draining::new(Duration::ZERO);
        draining.begin(frontend, start);
        draining.end(frontend);
        assert_eq!((draining.next(), draining.look(start + PAUSE, |_| None)), (None, vec![]));
    }
}
