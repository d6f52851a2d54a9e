//! A thousand edits of Ingresses, while clients of hosts that are not edited keep one connection each: in HTTP/1.1, in HTTP/2 and
//! over websockets, with TLS and without. No request fails, and no connection ends. So it is where each Ingress has an address
//! of its own, and where all share one.
//!
//! The edits are those of a seed; `AXONEME_SEED` gives another one.

use std::{
    collections::BTreeSet,
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_testnet::{Dual, Process, address, built, mesh::Mesh, wait_until};
use futures::future::try_join_all;
use hyper::{StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;

use crate::{
    certificates::Authority,
    kept::{Kept, Speaks},
    load,
    log::Log,
    random::Random,
    stage::{SOON, Stage, last_words, serve},
    street::{self, House, Mode, SERVICES, STEADY},
};

const EDITS: usize = 1000;
/// So many different things are edited at once.
const BURST: usize = 8;
/// The Ingresses. Clients ask the first two, whose other hosts are edited like those of all others.
const HOUSES: [&str; 5] = ["one", "two", "three", "four", "five"];
const ASKED: [&str; 2] = ["one.example", "two.example"];

struct Play<'a> {
    stage: &'a Stage,
    mode: Mode,
    authority: Authority,
    houses: Vec<House>,
    /// The pods of the Services that paths are moved between: one of them is always there.
    pods: [Dual; 2],
    /// How many of these each Service has.
    counts: [usize; SERVICES.len()],
    random: Random,
}

#[test]
fn a_thousand_edits_of_others_end_no_connection() {
    edit_beside_clients("neighbours", Mode::Dedicated);
}

#[test]
fn a_thousand_edits_of_others_end_no_connection_to_a_shared_address() {
    edit_beside_clients("shared", Mode::Shared);
}

fn edit_beside_clients(name: &str, mode: Mode) {
    let seed = env::var("AXONEME_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut stage = Stage::new(name).unwrap();
    let places = ["steady", "pod-1", "pod-2"].map(|name| stage.pod(name).unwrap());
    let _steady = backend(&places[0]);
    let _pods = [serve(&places[1]).unwrap(), serve(&places[2]).unwrap()];
    stage.folder.write("steady.yaml", &street::service(STEADY, &[places[0].address])).unwrap();
    let authority = Authority::new();
    let houses = HOUSES.map(|name| House::new(name, mode, &authority)).into();
    let pods = [places[1].address, places[2].address];
    let mut play = Play { stage: &stage, mode, authority, houses, pods, counts: [2; 3], random: Random(seed) };
    play.houses.iter().for_each(|house| play.write(house));
    SERVICES.iter().enumerate().for_each(|(at, _)| play.write_service(at));

    let mut mesh = stage.mesh().unwrap();
    let names: Vec<_> = HOUSES.iter().flat_map(|name| [80, 443].map(|port| redirect(mode, name, port))).collect();
    mesh.wait_for("all Ingresses", SOON, |status| names.iter().all(|name| status.port(name).is_some())).unwrap();
    wait_until("their answers", SOON, || Ok(play.serves(&mesh).is_ok())).unwrap();

    let clients = play.clients(&mesh);
    let (count, stop) = (clients.len(), Arc::new(AtomicBool::new(false)));
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| stage.client.enter(|| ask(clients, &stop)).unwrap());
        // Also when an assertion fails, or the clients would go on for ever.
        let stopped = Stopped(&stop);
        play.run(&mesh, || asking.is_finished());
        drop(stopped);
        asking.join().unwrap()
    });
    let asked = asked.unwrap_or_else(|error| panic!("{error:#}\n{}", last_words(&mesh)));
    println!("{} requests on {count} connections", asked.iter().sum::<usize>());
    assert!(asked.len() == count && asked.iter().all(|asked| *asked > 0), "{asked:?}");
    // With one table for all, edits that came together are one.
    let mut last = Ok(());
    let waited = wait_until("the last edits", SOON, || {
        last = play.serves(&mesh);
        Ok(last.is_ok())
    });
    assert!(waited.is_ok(), "{last:?}\n{}", last_words(&mesh));
}

struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A backend that knows websockets.
fn backend(place: &axoneme_testnet::Namespace) -> Process {
    let server = place.spawn(built("axoneme-backend").unwrap(), ["--name", STEADY]).unwrap();
    wait_until("a backend to listen", SOON, || Ok(server.log()?.contains("listens"))).unwrap();
    server
}

fn redirect(mode: Mode, ingress: &str, port: u16) -> String {
    match mode {
        Mode::Dedicated => format!("scale/cilium-ingress-{ingress}:{port}"),
        Mode::Shared => format!("axoneme/cilium-ingress:{port}"),
    }
}

/// All clients, until `stop` or the first that fails.
fn ask(clients: Vec<Kept>, stop: &Arc<AtomicBool>) -> Result<Vec<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(try_join_all(clients.into_iter().map(|client| client.ask_until(stop.clone()))))
}

impl Play<'_> {
    /// Where an Ingress is asked.
    fn at(&self, mesh: &Mesh, ingress: &str, port: u16) -> Result<SocketAddr> {
        let status = mesh.status()?;
        let redirect = status.redirects.get(&redirect(self.mode, ingress, port)).context("no such redirect")?;
        let found = redirect.frontends.iter().find(|at| at.is_ipv4() && address::is_balancer(at.ip()));
        found.copied().context("no such address")
    }

    fn clients(&self, mesh: &Mesh) -> Vec<Kept> {
        let mut clients = Vec::new();
        for (host, name) in ASKED.into_iter().zip(HOUSES) {
            for speaks in [Speaks::Http1, Speaks::Http2, Speaks::Websocket] {
                let protocol = if speaks == Speaks::Http2 { "h2" } else { "http/1.1" };
                for tls in [None, Some(self.authority.connector(&[protocol]))] {
                    let to = self.at(mesh, name, if tls.is_some() { 443 } else { 80 }).unwrap();
                    clients.push(Kept { to, host, tls, speaks });
                }
            }
        }
        clients
    }

    fn write(&self, house: &House) {
        for (file, text) in house.files() {
            self.stage.folder.write(&file, &text).unwrap();
        }
    }

    fn write_service(&self, at: usize) {
        let text = street::service(SERVICES[at], &self.pods[..self.counts[at]]);
        self.stage.folder.write(&format!("service-{}.yaml", SERVICES[at]), &text).unwrap();
    }

    /// Makes all edits, each in force before the next ones; ends early when a client did.
    fn run(&mut self, mesh: &Mesh, ended: impl Fn() -> bool) {
        let mut log = Log::of(mesh).unwrap();
        let mut subjects: Vec<_> = (0..HOUSES.len() + SERVICES.len()).collect();
        for edits in (0..EDITS).step_by(BURST) {
            if ended() {
                return;
            }
            self.random.shuffle(&mut subjects);
            let mut wanted = BTreeSet::new();
            // Ingresses first: which endpoints are wanted depends on them.
            let mut burst = subjects[..BURST].to_vec();
            burst.sort_unstable();
            for subject in burst {
                if subject < HOUSES.len() {
                    wanted.insert(self.houses[subject].edit(&self.authority, &mut self.random));
                    self.write(&self.houses[subject]);
                } else {
                    let at = subject - HOUSES.len();
                    self.counts[at] = 3 - self.counts[at];
                    self.write_service(at);
                    wanted.extend(street::assignment(SERVICES[at], &self.houses));
                }
            }
            let waited = log.until_such_in_force(&wanted);
            assert!(waited.is_ok(), "after {edits} edits: {wanted:?} not in force\n{}", last_words(mesh));
            log.turn_over().unwrap();
        }
    }

    /// Whether what was edited last is served.
    fn serves(&self, mesh: &Mesh) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        self.stage.client.enter(|| {
            runtime.block_on(async {
                for house in &self.houses {
                    self.serves_one(house, mesh).await.with_context(|| house.name.to_owned())?;
                }
                Ok(())
            })
        })?
    }

    async fn serves_one(&self, house: &House, mesh: &Mesh) -> Result<()> {
        let (host, path, pair) = house.example();
        let stream = TokioIo::new(load::open(self.at(mesh, house.name, 80)?, "", None).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let request = hyper::Request::get(path).header("host", &host);
        let answer = sender.send_request(request.body(http_body_util::Empty::<hyper::body::Bytes>::new())?).await?;
        ensure!(answer.status() == StatusCode::OK, "{host}{path}: {answer:?}");
        if let Some(pair) = pair {
            let shown =
                load::certificate(self.at(mesh, house.name, 443)?, &host, &self.authority.connector(&[])).await?;
            ensure!(shown == pair.der(), "another certificate is shown");
        }
        Ok(())
    }
}
