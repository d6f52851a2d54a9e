//! Good reviews, remembered for a minute: a control plane that restarts must not ask about every node twice.
//!
//! Tokens are kept as hashes only.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// A token that is revoked meanwhile still opens a stream for so long.
const KEPT: Duration = Duration::from_secs(60);
/// More than nodes that connect within a minute; beyond it, tokens are simply reviewed again.
const CAPACITY: usize = 8192;

/// Hash of a token to its node, and until when that is believed.
type Entries = BTreeMap<[u8; 32], (Arc<str>, Instant)>;

/// Tokens and their nodes.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Entries>);

impl Cache {
    pub(super) fn get(&self, token: &str, now: Instant) -> Option<Arc<str>> {
        let entries = self.0.lock();
        let (node, until) = entries.get(&hash(token))?;
        (now < *until).then(|| Arc::clone(node))
    }

    pub(super) fn put(&self, token: &str, node: Arc<str>, now: Instant) {
        let mut entries = self.0.lock();
        entries.retain(|_, (_, until)| now < *until);
        if entries.len() < CAPACITY {
            entries.insert(hash(token), (node, now + KEPT));
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_forgotten_after_a_minute() {
        let (cache, t) = (Cache::default(), Instant::now());
        cache.put("one", "node-1".into(), t);
        assert_eq!(cache.get("one", t + KEPT / 2).as_deref(), Some("node-1"));
        assert_eq!(cache.get("two", t), None);
        assert_eq!(cache.get("one", t + KEPT), None);
        cache.put("two", "node-2".into(), t + KEPT);
        assert_eq!(cache.0.lock().len(), 1);
    }
}
