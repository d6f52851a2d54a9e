//! When the thread that reads the watches looks a moment later.
//!
//! An event that comes alone wakes the thread and everything from the socket to the engine, which takes longer than looking at
//! it. Where nobody waits, what comes meanwhile gathers in the sockets and is read in one go. Nothing is lost, and a thread with
//! nothing to read does not wake for this.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::driver::until_true;

/// While another replica leads: this one serves no node and writes nothing. By so much it takes over later.
const STANDING_BY: Duration = Duration::from_millis(100);
/// After an Ingress of another class: there may be thousands. One of ours that comes right behind waits for it.
const FOREIGN: Duration = Duration::from_millis(10);

/// Whether somebody waits. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Rest(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    standing_by: AtomicBool,
    foreign: AtomicBool,
}

impl Rest {
    /// Rests if nobody waits. For a thread that has done all there is and is about to wait for its sockets: whatever had come
    /// before was read.
    pub fn take(&self) {
        if let Some(rest) = self.due() {
            sleep(rest);
        }
    }

    /// Rests while another replica leads, from when everything was listed once until `shutdown`. Who takes over asked the API
    /// server for the lease before, and so has read what had come by then.
    pub(super) async fn follow(
        self,
        ready: watch::Receiver<bool>,
        mut leads: watch::Receiver<bool>,
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        if until_true(ready, &shutdown).await {
            self.stand_by(!*leads.borrow_and_update());
            while let Some(Ok(())) = shutdown.run_until_cancelled(leads.changed()).await {
                self.stand_by(!*leads.borrow_and_update());
            }
        }
        self.stand_by(false);
        // That the lease's task ended is its own to tell.
        shutdown.cancelled().await;
        Ok(())
    }

    fn stand_by(&self, stands_by: bool) {
        self.0.standing_by.store(stands_by, Relaxed);
    }

    /// An Ingress of another class was read.
    pub(super) fn saw_foreign(&self) {
        self.0.foreign.store(true, Relaxed);
    }

    fn due(&self) -> Option<Duration> {
        let foreign = self.0.foreign.swap(false, Relaxed);
        let standing_by = self.0.standing_by.load(Relaxed);
        standing_by.then_some(STANDING_BY).or(foreign.then_some(FOREIGN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_rests_once_after_ingresses_of_others_and_who_stands_by_always() {
        let rest = Rest::default();
        assert_eq!(rest.due(), None);
        rest.saw_foreign();
        assert_eq!([rest.due(), rest.due()], [Some(FOREIGN), None]);
        rest.stand_by(true);
        rest.saw_foreign();
        assert_eq!([rest.due(), rest.due()], [Some(STANDING_BY); 2]);
        rest.stand_by(false);
        assert_eq!(rest.due(), None);
    }

    /// On a thread that rests, as the operator's does.
    #[test]
    fn a_replica_rests_from_when_it_knows_everything_until_it_leads() {
        let rest = Rest::default();
        let mut thread = tokio::runtime::Builder::new_current_thread();
        let park = rest.clone();
        let runtime = thread.enable_all().on_thread_park(move || park.take()).build().unwrap();
        runtime.block_on(async {
            let (ready, leads, shutdown) =
                (watch::Sender::new(false), watch::Sender::new(false), CancellationToken::new());
            let follow = rest.clone().follow(ready.subscribe(), leads.subscribe(), shutdown.clone());
            let follow = tokio::spawn(follow);
            let is = async |due: Option<Duration>| {
                let seen = async {
                    while rest.due() != due {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(30), seen).await.unwrap();
            };
            tokio::task::yield_now().await;
            assert_eq!(rest.due(), None, "what is there at the start is read at once");
            ready.send_replace(true);
            is(Some(STANDING_BY)).await;
            leads.send_replace(true);
            is(None).await;
            leads.send_replace(false);
            is(Some(STANDING_BY)).await;
            shutdown.cancel();
            is(None).await;
            follow.await.unwrap().unwrap();
        });
    }
}
