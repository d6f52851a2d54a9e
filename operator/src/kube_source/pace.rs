//! How soon a watch is read again.
//!
//! An event that comes alone wakes everything from the socket to the engine, which takes longer than looking at it. Where nobody
//! waits, a watch rests, and what comes meanwhile is read in one go. Nothing is lost: it waits in the connection.

use std::{convert::Infallible, time::Duration};

use futures::{Stream, StreamExt as _};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::source::{Kind, SourceEvent};

/// While another replica leads: this one serves no node and writes nothing. What it knows is that much older at most. Longer, and
/// an API server with much to tell would end the watch for being slow.
const STANDING_BY: Duration = Duration::from_millis(100);
/// When so long nothing more came, all was read that had come. The runtime's clock has no shorter time.
const LULL: Duration = Duration::from_millis(1);
/// Who takes over waits no longer for its watches: where changes come without a lull, they are read as they come.
const TAKEOVER: Duration = Duration::from_secs(1);

/// Whether somebody waits for what is read.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    /// Whether this replica holds the lease.
    leading: watch::Receiver<bool>,
    /// How many watches may have something to read.
    resting: watch::Sender<usize>,
    standing_by: Duration,
}

impl Attention {
    pub(super) fn new(leading: watch::Receiver<bool>) -> Self {
        Self { leading, resting: watch::Sender::new(0), standing_by: STANDING_BY }
    }

    /// Tells `leads` what the lease says, until `shutdown`; that this replica leads, when every watch has read what had come.
    pub(super) async fn follow(
        mut self,
        leads: watch::Sender<bool>,
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut resting = self.resting.subscribe();
        let follow = async {
            loop {
                let leading = *self.leading.borrow_and_update();
                if leading {
                    tokio::select! {
                        _ = resting.wait_for(|watches| *watches == 0) => {}
                        _ = self.leading.changed() => continue,
                        () = sleep(TAKEOVER) => tracing::info!("taking over while changes come without a pause"),
                    }
                }
                leads.send_if_modified(|now| std::mem::replace(now, leading) != leading);
                if self.leading.changed().await.is_err() {
                    // The lease's task ended, which it tells by itself.
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
        Ok(())
    }
}

/// One watch's part.
#[derive(Debug)]
pub(super) struct Pace {
    attention: Attention,
    /// When all was read, a rest is taken.
    rests: bool,
    /// There since a rest, until all was read again.
    behind: Option<Behind>,
}

impl Pace {
    pub(super) fn new(attention: Attention) -> Self {
        Self { attention, rests: false, behind: None }
    }

    /// The next change. May be given up and asked for again.
    pub(super) async fn next<S: Stream + Unpin>(&mut self, changes: &mut S) -> Option<S::Item> {
        while self.rests || self.behind.is_some() {
            if let Ok(change) = timeout(LULL, changes.next()).await {
                return change;
            }
            self.behind = None;
            if std::mem::take(&mut self.rests) {
                self.behind = Some(self.rest().await);
            }
        }
        changes.next().await
    }

    /// Decides on a rest by what was read last.
    pub(super) fn saw(&mut self, event: &SourceEvent) {
        // The webhook of every replica asks for classes, and a list is a beginning.
        let is_awaited = matches!(event, SourceEvent::Reset { .. }) || event.kind() == Kind::IngressClass;
        self.rests = !is_awaited && !*self.attention.leading.borrow();
    }

    async fn rest(&mut self) -> Behind {
        // Before the look at who leads: a takeover that this look misses waits for it.
        let behind = Behind::new(&self.attention.resting);
        tokio::select! {
            _ = self.attention.leading.wait_for(|leading| *leading) => {}
            () = sleep(self.attention.standing_by) => {}
        }
        behind
    }
}

/// A watch that may have something to read.
#[derive(Debug)]
struct Behind(watch::Sender<usize>);

impl Behind {
    fn new(resting: &watch::Sender<usize>) -> Self {
        resting.send_modify(|watches| *watches += 1);
        Self(resting.clone())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.send_modify(|watches| *watches -= 1);
    }
}

#[cfg(test)]
mod tests;
