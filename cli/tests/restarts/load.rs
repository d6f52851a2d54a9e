//! A steady load that counts: new connections, kept ones and websockets, over IPv4 and IPv6. It never asks twice, and it is Envoy
//! that has to answer.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use axoneme_testnet::{Namespace, wait_until};
use futures::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{CONNECTION, HOST, SERVER, UPGRADE},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::scene::SOON;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests of a client: there is a limit to what two cores are for.
const PAUSE: Duration = Duration::from_millis(25);

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// A connection for each request.
    Fresh,
    /// One connection for all.
    Kept,
    /// One connection, and no requests on it.
    Websocket,
}

/// What clients have to put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Nothing: who has a connection keeps it.
    Strict,
    /// An answer may say that it is the last one on its connection. Who has a websocket would be cut in the end; there is none.
    MayBeAskedToGo,
}

/// One client.
#[derive(Clone, Copy, Debug)]
struct Client {
    habit: Habit,
    to: SocketAddr,
    manners: Manners,
}

#[derive(Default)]
struct Tally {
    /// Good answers, by client.
    good: Vec<AtomicUsize>,
    connections: AtomicUsize,
    asked_to_go: AtomicUsize,
    /// The number of the event at hand.
    event: AtomicUsize,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Clients at work. Dropping it stops them.
pub(crate) struct Load {
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of it.
pub(crate) struct Sum {
    pub(crate) good: usize,
    pub(crate) connections: usize,
    pub(crate) asked_to_go: usize,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { good, connections, asked_to_go } = self;
        write!(f, "{good} requests on {connections} connections, none failed; {asked_to_go} were asked to go")
    }
}

impl Load {
    /// Starts a client of each habit for each address, in the network that it is to come from; and waits until all have an answer.
    pub(crate) fn start(places: &[(&Namespace, Vec<SocketAddr>)], manners: Manners) -> Self {
        let habits: &[Habit] = match manners {
            Manners::Strict => &[Habit::Fresh, Habit::Kept, Habit::Websocket],
            Manners::MayBeAskedToGo => &[Habit::Fresh, Habit::Kept],
        };
        let clients = |to: &[SocketAddr]| -> Vec<Client> {
            to.iter().flat_map(|to| habits.iter().map(|habit| Client { habit: *habit, to: *to, manners })).collect()
        };
        let count = places.iter().map(|(_, to)| to.len() * habits.len()).sum();
        let good = std::iter::repeat_with(AtomicUsize::default).take(count).collect();
        let tally = Arc::new(Tally { good, ..Tally::default() });
        let mut first = 0;
        let mut threads = Vec::new();
        for (place, to) in places {
            let (place, clients, tally, number) = ((*place).clone(), clients(to), Arc::clone(&tally), first);
            first += clients.len();
            threads.push(thread::spawn(move || place.enter(|| ask_all(&clients, number, &tally)).unwrap()));
        }
        let load = Self { tally, threads };
        load.goes_on();
        load
    }

    /// What is being done to the node: failures say it.
    pub(crate) fn at(&self, event: usize) {
        self.tally.event.store(event, Ordering::Relaxed);
    }

    /// Waits until every client has had two more answers, and looks whether any failed.
    pub(crate) fn goes_on(&self) {
        let good = |tally: &Tally| -> Vec<usize> { tally.good.iter().map(|it| it.load(Ordering::Relaxed)).collect() };
        let before = good(&self.tally);
        let waited = wait_until("answers for everybody", SOON, || {
            let now = good(&self.tally);
            let failed = !self.tally.failures.lock().is_empty();
            Ok(failed || now.iter().zip(&before).all(|(now, before)| *now >= before + 2))
        });
        self.judge();
        waited.unwrap();
    }

    /// Stops the clients. Panics if one of them had a failure.
    pub(crate) fn end(mut self) -> Sum {
        self.stop();
        self.judge();
        let sum = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let tally = &self.tally;
        let good = tally.good.iter().map(sum).sum();
        Sum { good, connections: sum(&tally.connections), asked_to_go: sum(&tally.asked_to_go) }
    }

    fn judge(&self) {
        // Not held while this panics: the clients are at work.
        let failures = self.tally.failures.lock().clone();
        assert!(
            failures.is_empty(),
            "{} failures: {:#?}",
            failures.len(),
            failures.iter().take(20).collect::<Vec<_>>()
        );
    }

    fn stop(&mut self) {
        self.tally.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic is in the output.
            assert!(thread.join().is_ok() || thread::panicking(), "a client panicked");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ask_all(clients: &[Client], first: usize, tally: &Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asking = clients.iter().zip(first..).map(|(client, number)| client.ask_until_stopped(number, tally));
    runtime.block_on(join_all(asking));
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn good(&self, client: usize) {
        self.good[client].fetch_add(1, Ordering::Relaxed);
    }
}

impl Client {
    async fn ask_until_stopped(&self, number: usize, tally: &Tally) {
        while tally.goes_on() {
            let talk = async {
                let stream =
                    timeout(PATIENCE, TcpStream::connect(self.to)).await.context("connect")?.context("connect")?;
                stream.set_nodelay(true)?;
                tally.connections.fetch_add(1, Ordering::Relaxed);
                match self.habit {
                    Habit::Websocket => self.talk(stream, number, tally).await,
                    Habit::Fresh | Habit::Kept => self.ask(stream, number, tally).await,
                }
            };
            if let Err(error) = talk.await {
                let event = tally.event.load(Ordering::Relaxed);
                tally.failures.lock().push(format!("at event {event}, {self:?}: {error:#}"));
                sleep(PAUSE).await;
            }
        }
    }

    async fn ask(&self, stream: TcpStream, number: usize, tally: &Tally) -> Result<()> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        while tally.goes_on() {
            let last = timeout(PATIENCE, answer(&mut sender)).await.context("no answer")??;
            tally.good(number);
            sleep(PAUSE).await;
            if self.habit == Habit::Fresh {
                return Ok(());
            }
            if last {
                ensure!(self.manners == Manners::MayBeAskedToGo, "asked to go");
                tally.asked_to_go.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            ensure!(!connection.is_finished(), "the connection was ended without a word");
        }
        Ok(())
    }

    /// What is sent comes back.
    async fn talk(&self, stream: TcpStream, number: usize, tally: &Tally) -> Result<()> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::get("/socket").header(HOST, "web.example").header(CONNECTION, "upgrade");
        let request = request.header(UPGRADE, "websocket").body(Empty::<Bytes>::new())?;
        let answer = timeout(PATIENCE, sender.send_request(request)).await.context("no answer")??;
        ensure!(answer.status() == StatusCode::SWITCHING_PROTOCOLS, "{answer:?}");
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await?);
        while tally.goes_on() {
            let words = *b"there and back..";
            let exchange = async {
                stream.write_all(&words).await?;
                let mut back = [0; 16];
                stream.read_exact(&mut back).await.map(|_| back)
            };
            let back = timeout(PATIENCE, exchange).await.context("no answer")??;
            ensure!(back == words, "{back:?} came back");
            tally.good(number);
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Asks, and reads the whole answer. True if it says that it is the last one.
async fn answer(sender: &mut SendRequest<Empty<Bytes>>) -> Result<bool> {
    sender.ready().await.context("the connection was closed between two requests")?;
    let request = Request::get("/").header(HOST, "web.example").body(Empty::new())?;
    let (head, body) = sender.send_request(request).await.context("ask")?.into_parts();
    body.collect().await.context("read the answer")?;
    if head.status != StatusCode::OK || head.headers.get(SERVER).is_none_or(|server| server != "envoy") {
        bail!("{head:?}");
    }
    Ok(head.headers.contains_key(CONNECTION))
}
