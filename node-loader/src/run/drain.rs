//! Frontends whose connections are still at the proxy: counted only while there are any.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// Counting walks the kernel's socket table.
const PAUSE: Duration = Duration::from_millis(250);

/// The frontends that drain.
#[derive(Debug)]
pub(super) struct Draining {
    timeout: Duration,
    until: BTreeMap<SocketAddr, Instant>,
    next: Option<Instant>,
}

impl Draining {
    /// None drains. Each gets `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, until: BTreeMap::new(), next: None }
    }

    /// Begins to look at a frontend. One that drains already keeps its time.
    pub(super) fn begin(&mut self, frontend: SocketAddr, now: Instant) {
        self.until.entry(frontend).or_insert(now + self.timeout);
        self.next.get_or_insert(now + PAUSE);
    }

    /// The frontend is in use again.
    pub(super) fn end(&mut self, frontend: SocketAddr) {
        self.until.remove(&frontend);
        self.next = self.next.filter(|_| !self.until.is_empty());
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Counts connections if it is time to: frontends without any, and frontends whose time is up all the same.
    pub(super) fn look(
        &mut self,
        now: Instant,
        mut connections: impl FnMut(SocketAddr) -> usize,
    ) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let (mut empty, mut late) = (Vec::new(), Vec::new());
        if self.next.is_none_or(|next| next > now) {
            return (empty, late);
        }
        self.until.retain(|frontend, until| {
            if connections(*frontend) == 0 {
                empty.push(*frontend);
                return false;
            }
            if now >= *until {
                late.push(*frontend);
                return false;
            }
            true
        });
        self.next = (!self.until.is_empty()).then(|| now + PAUSE);
        (empty, late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_connections_but_not_for_ever() {
        let (idle, busy): (SocketAddr, SocketAddr) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let start = Instant::now();
        let mut draining = Draining::new(Duration::from_secs(1));
        assert_eq!(draining.next(), None);
        draining.begin(idle, start);
        draining.begin(busy, start);
        let count = |frontend| usize::from(frontend == busy);
        assert_eq!(draining.look(start, count), (vec![], vec![]));
        assert_eq!(draining.look(start + PAUSE, count), (vec![idle], vec![]));
        assert_eq!(draining.look(start + Duration::from_secs(1), count), (vec![], vec![busy]));
        assert_eq!(draining.next(), None);
    }

    #[tokio::test]
    async fn a_frontend_in_use_again_is_left_alone() {
        let frontend: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let start = Instant::now();
        let mut draining = Draining::new(Duration::ZERO);
        draining.begin(frontend, start);
        draining.end(frontend);
        assert_eq!((draining.next(), draining.look(start + PAUSE, |_| 0)), (None, (vec![], vec![])));
    }
}
