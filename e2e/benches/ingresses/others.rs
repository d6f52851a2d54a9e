//! A steady load on Ingresses that are there already: they must not notice the next one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::StatusCode;
use tokio::{task::JoinSet, time::sleep};

use crate::http::Connection;

/// How many are asked, each by one client that waits so long between two requests.
const CLIENTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What the clients saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) asked: AtomicUsize,
    /// Answers that are not 200.
    pub(crate) failed: AtomicUsize,
    /// Connections that ended or did not come about.
    pub(crate) closed: AtomicUsize,
}

/// The clients, each on one kept connection.
#[derive(Default)]
pub(crate) struct Others {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Others {
    /// Asks for this one too from now on, unless enough are asked.
    pub(crate) fn ask(&mut self, address: SocketAddr, host: String) {
        if self.clients.len() == CLIENTS {
            return;
        }
        let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
        self.clients.spawn(async move {
            let mut kept = None;
            while !stop.load(Relaxed) {
                if kept.is_none() {
                    kept = Connection::open(address).await.ok();
                }
                let answer = match &mut kept {
                    Some(connection) => connection.ask(&host).await.ok(),
                    None => None,
                };
                seen.asked.fetch_add(1, Relaxed);
                match answer {
                    Some(StatusCode::OK) => {}
                    Some(_) => drop(seen.failed.fetch_add(1, Relaxed)),
                    None => {
                        seen.closed.fetch_add(1, Relaxed);
                        kept = None;
                    }
                }
                sleep(PAUSE).await;
            }
        });
    }

    /// Ends the load.
    pub(crate) async fn stop(self) -> Arc<Seen> {
        self.stop.store(true, Relaxed);
        self.clients.join_all().await;
        self.seen
    }
}
