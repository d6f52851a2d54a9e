//! The data that all streams of a server share, and how a change finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Key, Store, View};

/// Data that can be looked at with the eyes of each subscriber.
pub trait Views: Send + Sync + 'static {
    /// What the subscriber may see. Called under the hub's lock, so it and the view must not call the hub.
    fn view<'a>(&'a self, subscriber: &'a str) -> Box<dyn View + 'a>;
}

impl Views for Store {
    fn view<'a>(&'a self, _: &'a str) -> Box<dyn View + 'a> {
        Box::new(self)
    }
}

/// The data, and the streams to wake when it changes. A clone is the same hub.
#[derive(Debug)]
pub struct Hub<D> {
    shared: Arc<Shared<D>>,
}

#[derive(Debug)]
struct Shared<D> {
    data: RwLock<D>,
    streams: Mutex<Streams>,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Streams {
    opened: u64,
    open: BTreeMap<u64, Arc<Pending>>,
}

/// The keys that changed since a stream last looked. Only keys: the stream sends what is current when it looks, so a
/// slow reader costs one entry per name and misses only what is outdated.
#[derive(Debug, Default)]
pub(super) struct Pending {
    keys: Mutex<BTreeSet<Key>>,
    wake: Notify,
}

impl Pending {
    /// Waits for a change and takes all keys that changed.
    pub(super) async fn changed(&self) -> BTreeSet<Key> {
        loop {
            let keys = std::mem::take(&mut *self.keys.lock());
            if !keys.is_empty() {
                return keys;
            }
            self.wake.notified().await;
        }
    }
}

impl<D> Clone for Hub<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Views> Hub<D> {
    /// A hub without streams.
    pub fn new(data: D) -> Self {
        let (data, streams) = (RwLock::new(data), Mutex::default());
        Self { shared: Arc::new(Shared { data, streams, closing: CancellationToken::new() }) }
    }

    /// Edits the data. `edit` gives the keys whose content, or whose visibility to anybody, changed; every stream then
    /// looks at those keys: O(changed keys x open streams).
    pub fn update(&self, edit: impl FnOnce(&mut D) -> BTreeSet<Key>) {
        let changed = edit(&mut self.shared.data.write());
        if changed.is_empty() {
            return;
        }
        for pending in self.shared.streams.lock().open.values() {
            pending.keys.lock().extend(changed.iter().cloned());
            pending.wake.notify_one();
        }
    }

    /// Looks at the data. Edits wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&D) -> T) -> T {
        look(&self.shared.data.read())
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.shared.streams.lock().open.len()
    }

    /// Ends every stream, now and later, with `UNAVAILABLE`.
    ///
    /// Give the tonic server its shutdown signal as well: a client comes back on a connection that stays open.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    pub(super) async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    pub(super) fn enter(&self) -> Membership<D> {
        let mut streams = self.shared.streams.lock();
        streams.opened += 1;
        let id = streams.opened;
        let pending = Arc::new(Pending::default());
        streams.open.insert(id, pending.clone());
        Membership { id, pending, hub: self.clone() }
    }
}

/// A stream's place in the hub, until dropped.
pub(super) struct Membership<D> {
    pub(super) id: u64,
    pub(super) pending: Arc<Pending>,
    hub: Hub<D>,
}

impl<D> Drop for Membership<D> {
    fn drop(&mut self) {
        self.hub.shared.streams.lock().open.remove(&self.id);
    }
}
