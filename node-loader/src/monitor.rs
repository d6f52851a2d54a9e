//! A live stream of what the redirect decides, as lines of JSON: for `axonctl monitor`.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    net::UnixStream,
    sync::mpsc::{Receiver, Sender, channel, error::TrySendError},
};

use crate::datapath::{Reason, ServiceId};

/// Batches that a slow watcher may be behind.
const BEHIND: usize = 16;
/// How long names of services are believed.
const FRESH: Duration = Duration::from_secs(1);

/// Where a packet was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A pod's device, or a bridge of pods.
    Container,
    /// An uplink.
    Netdev,
    /// The loopback device: a packet of a host process.
    Host,
    /// `connect` of a host process.
    Connect,
}

impl Place {
    /// Every place, in the order of the kernel's numbers.
    pub const ALL: [Self; 4] = [Self::Container, Self::Netdev, Self::Host, Self::Connect];

    /// The program that sits there.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Container => "from_container",
            Self::Netdev => "from_netdev",
            Self::Host => "from_host",
            Self::Connect => "connect",
        }
    }
}

/// One decision of the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Since 1970.
    pub time: Duration,
    /// Whose frontend it is.
    pub service: ServiceId,
    /// What was decided.
    pub reason: Reason,
    /// By whom.
    pub place: Place,
    /// The client; none in `connect`, where it has no address yet.
    pub client: Option<SocketAddr>,
    /// What it dialled.
    pub frontend: SocketAddr,
}

/// Sightings that were read together, and how many more there were.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In the order of the ring buffer.
    pub sightings: Vec<Sighting>,
    /// Not told: too many at once.
    pub lost: u64,
}

/// Who asked to be told.
#[derive(Debug)]
pub struct Watcher {
    batches: Sender<Arc<Batch>>,
    missed: u64,
}

/// What a [`Watcher`] is told.
pub type Batches = Receiver<Arc<Batch>>;

impl Watcher {
    /// A watcher, and what it gets. It leaves by dropping that.
    #[must_use]
    pub fn new() -> (Self, Batches) {
        let (batches, receiver) = channel(BEHIND);
        (Self { batches, missed: 0 }, receiver)
    }

    /// The first batch, which is empty: from now on things are told. False when it left.
    pub(crate) fn welcome(&mut self) -> bool {
        self.batches.try_send(Arc::default()).is_ok()
    }

    /// Hands a batch on; a watcher that is too slow misses it, and learns how much later. False when it left.
    pub(crate) fn tell(&mut self, batch: &Batch) -> bool {
        if batch.sightings.is_empty() && batch.lost == 0 && self.missed == 0 {
            return !self.batches.is_closed();
        }
        let mut told = batch.clone();
        told.lost += self.missed;
        let count = told.lost + told.sightings.len() as u64;
        match self.batches.try_send(Arc::new(told)) {
            Ok(()) => self.missed = 0,
            Err(TrySendError::Full(_)) => self.missed = count,
            Err(TrySendError::Closed(_)) => return false,
        }
        true
    }
}

/// A line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A decision.
    Seen(Seen),
    /// Decisions that were not told. The first line is one, with 0: from then on they are.
    Lost {
        /// How many, since the last such line.
        lost: u64,
    },
}

/// A decision, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Microseconds since 1970.
    pub time_us: u64,
    /// `namespace/service:port`; a number, if it is gone already.
    pub service: String,
    /// As in the metrics.
    pub reason: String,
    /// The program that decided.
    pub program: String,
    /// The client; none in `connect`.
    pub client: Option<SocketAddr>,
    /// What it dialled.
    pub frontend: SocketAddr,
}

/// Names by number, asked for again when they are old or one is missing.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: BTreeMap<ServiceId, String>,
    asked: Option<Instant>,
}

impl Names {
    /// Whether the names for a batch have to be asked for.
    pub(crate) fn are_stale(&self, batch: &Batch, now: Instant) -> bool {
        let missing = batch.sightings.iter().any(|it| !self.names.contains_key(&it.service));
        let old = self.asked.is_none_or(|asked| now.duration_since(asked) >= FRESH);
        !batch.sightings.is_empty() && (missing || old)
    }

    pub(crate) fn set(&mut self, names: BTreeMap<ServiceId, String>, now: Instant) {
        *self = Self { names, asked: Some(now) };
    }

    /// A batch as lines of JSON, each with its end.
    pub(crate) fn lines(&self, batch: &Batch) -> Vec<u8> {
        let seen = batch.sightings.iter().map(|it| {
            Line::Seen(Seen {
                time_us: u64::try_from(it.time.as_micros()).unwrap_or(u64::MAX),
                service: self.names.get(&it.service).cloned().unwrap_or_else(|| it.service.0.to_string()),
                reason: it.reason.label().to_owned(),
                program: it.place.program().to_owned(),
                client: it.client,
                frontend: it.frontend,
            })
        });
        let lost = (batch.lost > 0 || batch.sightings.is_empty()).then_some(Line::Lost { lost: batch.lost });
        let mut text = Vec::new();
        for line in seen.chain(lost) {
            // Plain fields only: this does not fail.
            if serde_json::to_writer(&mut text, &line).is_ok() {
                text.push(b'\n');
            }
        }
        text
    }
}

/// Watches the node behind the socket, and hands each line on until `each` fails or the node ends.
///
/// # Errors
/// The system's when nobody answers there or the stream breaks, `Unsupported` when there is nothing to watch, `InvalidData`
/// when a line is none, and those of `each`.
pub async fn follow(socket: &Path, mut each: impl FnMut(Line) -> io::Result<()>) -> io::Result<()> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let request =
        Request::get("/monitor").header(HOST, "node").body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (status, mut body) = (response.status(), response.into_body());
    if status != StatusCode::OK {
        let words = body.collect().await.map_err(io::Error::other)?.to_bytes();
        return Err(io::Error::new(io::ErrorKind::Unsupported, String::from_utf8_lossy(words.trim_ascii())));
    }
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = memchr::memchr(b'\n', &rest) {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)?;
        }
    }
    driver.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(services: &[u32]) -> Batch {
        let sighting = |service: &u32| Sighting {
            time: Duration::from_micros(1_000_001),
            service: ServiceId(*service),
            reason: Reason::SourceRange,
            place: Place::Netdev,
            client: "192.0.2.1:40000".parse().ok(),
            frontend: "[2001:db8::1]:443".parse().unwrap(),
        };
        Batch { sightings: services.iter().map(sighting).collect(), lost: 0 }
    }

    #[test]
    fn lines_have_names_and_come_back_as_they_went() {
        let (mut names, now) = (Names::default(), Instant::now());
        assert!(names.are_stale(&batch(&[1]), now));
        names.set(BTreeMap::from([(ServiceId(1), "default/web:443".to_owned())]), now);
        assert!(!names.are_stale(&batch(&[1]), now) && names.are_stale(&batch(&[1, 2]), now));
        assert!(names.are_stale(&batch(&[1]), now + FRESH) && !names.are_stale(&batch(&[]), now + FRESH));
        let text = String::from_utf8(names.lines(&Batch { lost: 7, ..batch(&[1, 2]) })).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [Line::Seen(first), Line::Seen(second), Line::Lost { lost: 7 }] = lines.as_slice() else {
            panic!("{text}");
        };
        assert_eq!((first.service.as_str(), first.time_us), ("default/web:443", 1_000_001));
        assert_eq!(names.lines(&Batch::default()), b"{\"lost\":0}\n");
        assert_eq!((second.service.as_str(), second.reason.as_str()), ("2", "source-range"));
    }

    #[test]
    fn a_slow_watcher_learns_what_it_missed() {
        let (mut watcher, mut batches) = Watcher::new();
        for _ in 0..BEHIND + 2 {
            assert!(watcher.tell(&batch(&[1, 1, 1])));
        }
        for _ in 0..BEHIND {
            assert_eq!(batches.try_recv().unwrap().lost, 0);
        }
        assert!(watcher.tell(&Batch::default()));
        let told = batches.try_recv().unwrap();
        assert_eq!((told.sightings.len(), told.lost), (0, 6));
        assert!(watcher.tell(&Batch::default()));
        assert!(batches.try_recv().is_err(), "nothing to say");
        drop(batches);
        assert!(!watcher.tell(&Batch::default()));
    }
}
