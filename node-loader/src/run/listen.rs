//! Which ports do not listen yet: looked at right after Envoy took a listener, and no longer than needed.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Envoy opens its sockets within a few milliseconds of its ACK.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(250);
/// A listener may warm for Envoy's fetch timeouts, 15 s each.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Look {
    next: Instant,
    pause: Duration,
    until: Instant,
}

/// The ports to look at.
#[derive(Debug, Default)]
pub(super) struct Listening(BTreeMap<u16, Look>);

impl Listening {
    /// Begins to look at a port.
    pub(super) fn watch(&mut self, port: u16, now: Instant) {
        self.0.insert(port, Look { next: now, pause: FIRST, until: now + PATIENCE });
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|look| look.next).min()
    }

    /// Looks at the ports whose time it is: those that listen, and those given up. Neither is looked at again.
    pub(super) fn look(&mut self, now: Instant, mut listens: impl FnMut(u16) -> bool) -> (Vec<u16>, Vec<u16>) {
        let (mut open, mut late) = (Vec::new(), Vec::new());
        self.0.retain(|port, look| {
            if look.next > now {
                return true;
            }
            if listens(*port) {
                open.push(*port);
                return false;
            }
            if now >= look.until {
                late.push(*port);
                return false;
            }
            look.next = now + look.pause;
            look.pause = (look.pause * 2).min(LONGEST);
            true
        });
        (open, late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_until_it_listens_or_time_is_up() {
        let start = Instant::now();
        let mut listening = Listening::default();
        listening.watch(1, start);
        listening.watch(2, start);
        assert_eq!(listening.look(start, |port| port == 1), (vec![1], vec![]));
        assert_eq!(listening.next(), Some(start + FIRST));
        let mut looks = 0;
        let mut now = start;
        while let Some(next) = listening.next() {
            now = next;
            looks += 1;
            let (open, late) = listening.look(now, |_| false);
            assert!(open.is_empty());
            assert!(late.is_empty() || late == [2]);
        }
        assert!(now >= start + PATIENCE && looks < 300, "{looks} looks");
    }
}
