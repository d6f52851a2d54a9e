//! Clusters, endpoints, weights, routes and certificates are edited while clients ask all the time. No request fails, and
//! each edit sends what it changed and nothing else.
//!
//! The edits are those of a seed; `AXONEME_SEED` gives another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use axoneme_testnet::{Namespace, Process, mesh::Mesh, wait_until};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::Authority,
    load::{self, HOST_NAME, Habit, Tally},
    log::{Hop, Key, Log},
    random::Random,
    stage::{PORT, SOON, Stage, last_words, serve},
    world::{BACKENDS, PLAIN, PODS, SECURE, State, Step, Subject, World, pod_name},
};

const EDITS: usize = 500;
/// So many edits of different subjects are made without a pause, at times.
const BURST: usize = 3;
/// So many answers after a pod was taken out of its Service, each worker of Envoy has heard of it.
const HEARD: usize = 50;

/// A backend, and the process in it while there is one.
struct Pod {
    place: Namespace,
    server: Option<Process>,
    /// It has been taken out of its Service, when there were so many good answers.
    leaves: Option<usize>,
}

/// All that takes part.
struct Play<'a> {
    stage: &'a Stage,
    world: World,
    pods: BTreeMap<String, Pod>,
    tally: Arc<Tally>,
    /// What failed, as it happens and so far.
    failing: UnboundedReceiver<String>,
    failures: Vec<String>,
    random: Random,
}

#[test]
fn no_request_fails_while_everything_is_edited() {
    let seed = env::var("AXONEME_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut stage = Stage::new("edits").unwrap();
    let names = BACKENDS.iter().flat_map(|service| (1..=PODS).map(|number| pod_name(service, number)));
    let pod = |name: String| {
        let place = stage.pod(&name).unwrap();
        (name, Pod { server: Some(serve(&place).unwrap()), place, leaves: None })
    };
    let pods: BTreeMap<_, _> = names.map(pod).collect();
    let addresses = pods.iter().map(|(name, pod)| (name.clone(), pod.place.address.v4)).collect();
    let authority = Authority::new();
    let tls = authority.connector(&[]);
    let world = World::new(authority, &addresses);
    for (file, text) in world.files() {
        stage.folder.write(&file, &text).unwrap();
    }
    let mut mesh = stage.mesh().unwrap();
    mesh.wait_for("both listeners", SOON, |status| {
        ["scale/web:80", "scale/web-tls:443"].iter().all(|redirect| status.port(redirect).is_some())
    })
    .unwrap();

    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let (fails, failing) = unbounded_channel();
    let (random, failures) = (Random(seed), Vec::new());
    let mut play = Play { stage: &stage, world, pods, tally: tally.clone(), failing, failures, random };
    thread::scope(|scope| {
        let clients = scope.spawn(|| stage.client.enter(|| ask(&tls, &tally, &stop, &fails)).unwrap());
        // Also when an assertion fails, or the clients would go on for ever.
        let stopped = Stopped(&stop);
        play.run(&mesh);
        drop(stopped);
        clients.join().unwrap();
    });
    let failures = play.failures();
    let (good, connections) = (tally.good.load(Ordering::Relaxed), tally.connections.load(Ordering::Relaxed));
    println!("{good} requests on {connections} connections");
    assert!(failures.is_empty(), "{} of {good} requests failed: {failures:#?}", failures.len());
    play.ends_as_meant(&tls);
}

struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All clients, until `stop`.
fn ask(tls: &TlsConnector, tally: &Arc<Tally>, stop: &Arc<AtomicBool>, fails: &UnboundedSender<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connectors = [(PLAIN, None), (SECURE, Some(tls.clone()))];
    let habits = connectors.into_iter().flat_map(|(to, tls)| {
        [usize::MAX, 20, 1].map(|requests| Habit { to: to.parse().unwrap(), tls: tls.clone(), requests })
    });
    runtime.block_on(async {
        let begin = |habit| tokio::spawn(load::ask_until(habit, tally.clone(), stop.clone(), fails.clone()));
        let clients: Vec<_> = habits.map(begin).collect();
        for client in clients {
            client.await.unwrap();
        }
    });
}

impl Play<'_> {
    fn run(&mut self, mesh: &Mesh) {
        let mut log = Log::of(mesh).unwrap();
        let mut edits = 0;
        while edits < EDITS {
            let burst = if self.random.below(8) == 0 { BURST } else { 1 };
            let mut subjects = Subject::ALL;
            self.random.shuffle(&mut subjects);
            self.tally.edit.store(edits, Ordering::Relaxed);
            let before = self.world.resources();
            let (mut steps, mut touched) = (Vec::new(), BTreeMap::new());
            for subject in &subjects[..burst] {
                let (step, keys) = self.edit(*subject);
                steps.push(step);
                keys.into_iter().for_each(|key| *touched.entry(key).or_default() += 1);
            }
            edits += burst;
            let changed = difference(&before, &self.world.resources());
            let waited = log.until_in_force(&changed);
            assert!(waited.is_ok(), "edit {edits}, {steps:?}: {changed:?} not in force\n{}", last_words(mesh));
            self.end_pods();
            judge(&log, &changed, &touched).unwrap_or_else(|wrong| {
                panic!("edit {edits}, {steps:?} changed {changed:?}: {wrong}\n{}", last_words(mesh));
            });
            log.turn_over().unwrap();
            let failures = self.failures();
            assert!(failures.len() < 10, "edit {edits}, {steps:?}: too many requests failed: {failures:#?}");
        }
        // What an edit sent too much may come late.
        let good = self.good() + HEARD;
        wait_until("more answers", SOON, || Ok(self.good() >= good)).unwrap();
        assert_eq!(log.count(Hop::Node), BTreeMap::new());
    }

    /// Makes one edit, and tells which resources it touches.
    fn edit(&mut self, subject: Subject) -> (String, BTreeSet<Key>) {
        let (files, resources) = (self.world.files(), self.world.resources());
        let step = self.world.edit(subject, &mut self.random);
        if let Step::Pod(name, State::Ready) = &step {
            self.begin_pod(name);
        }
        for (file, text) in self.world.files() {
            if files[&file] != text {
                self.stage.folder.write(&file, &text).unwrap();
            }
        }
        let what = match step {
            Step::Files(what) => what.to_owned(),
            Step::Pod(name, state) => {
                if state == State::Gone {
                    self.pods.get_mut(&name).unwrap().leaves = Some(self.tally.good.load(Ordering::Relaxed));
                }
                format!("{name} {state:?}")
            }
        };
        (what, difference(&resources, &self.world.resources()))
    }

    fn failures(&mut self) -> &[String] {
        while let Ok(failure) = self.failing.try_recv() {
            self.failures.push(failure);
        }
        &self.failures
    }

    fn good(&self) -> usize {
        self.tally.good.load(Ordering::Relaxed)
    }

    /// Ends the processes of pods that are not in their Service any more, as kubelet does, when they are done.
    fn end_pods(&mut self) {
        let good = self.good();
        for pod in self.pods.values_mut().filter(|pod| pod.leaves.is_some_and(|at| good >= at + HEARD)) {
            pod.end();
        }
    }

    /// A new process, where the one before may be about to end.
    fn begin_pod(&mut self, name: &str) {
        let tally = &self.tally;
        let pod = self.pods.get_mut(name).unwrap();
        if let Some(at) = pod.leaves {
            wait_until("answers", SOON, || Ok(tally.good.load(Ordering::Relaxed) >= at + HEARD)).unwrap();
            wait_until("a pod to be done", SOON, || Ok(pod.end())).unwrap();
        }
        pod.server = Some(serve(&pod.place).unwrap());
    }

    /// The last edits are in force for whoever asks now.
    fn ends_as_meant(&self, tls: &TlsConnector) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (head, body, shown) = self
            .stage
            .client
            .enter(|| {
                runtime.block_on(async {
                    let mut connection = load::connect(SECURE.parse().unwrap(), Some(tls)).await.unwrap();
                    let (head, body) = load::ask(&mut connection, "/").await.unwrap().into_parts();
                    (head, body, load::certificate(SECURE.parse().unwrap(), HOST_NAME, tls).await.unwrap())
                })
            })
            .unwrap();
        assert_eq!(head.headers["x-serial"], self.world.serial.to_string().as_str());
        let body = String::from_utf8_lossy(&body).trim().to_owned();
        assert!(self.world.ready().any(|pod| pod == body), "{body} is not ready");
        assert_eq!(shown, self.world.certificate.der(), "the certificate for {HOST_NAME}");
    }
}

impl Pod {
    /// Ends the process if nobody is connected to it. True when it has ended.
    fn end(&mut self) -> bool {
        let port = format!(":{PORT}");
        let connections = self.place.run("ss", ["-Htn", "state", "established", "sport", "=", &port]).unwrap();
        if connections.is_empty() {
            (self.server, self.leaves) = (None, None);
        }
        self.server.is_none()
    }
}

/// What differs.
fn difference<T: PartialEq>(before: &BTreeMap<Key, T>, after: &BTreeMap<Key, T>) -> BTreeSet<Key> {
    let all = before.keys().chain(after.keys());
    all.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// Whether what was sent is what was changed: each resource once for each edit that touched it, and no other. With a cluster
/// Envoy gets its endpoints again.
fn judge(log: &Log<'_>, changed: &BTreeSet<Key>, touched: &BTreeMap<Key, usize>) -> Result<(), String> {
    let mut allowed = touched.clone();
    for hop in [Hop::Node, Hop::Envoy] {
        let mut wanted = changed.clone();
        if hop == Hop::Envoy {
            for ((_, name), times) in touched.iter().filter(|((kind, _), _)| kind == "Cluster") {
                let key = ("ClusterLoadAssignment".to_owned(), World::assignment(name));
                *allowed.entry(key).or_default() += times;
            }
            // Whether it hears of endpoints that nobody needs any more depends on who is faster.
            wanted.retain(|(kind, _)| kind != "ClusterLoadAssignment");
        }
        let sent = log.count(hop);
        if let Some(missing) = wanted.iter().find(|key| !sent.contains_key(*key)) {
            return Err(format!("{missing:?} was not sent over {hop:?}: {sent:?}"));
        }
        if let Some((key, count)) = sent.iter().find(|(key, count)| allowed.get(*key).is_none_or(|most| *count > most))
        {
            return Err(format!("{key:?} was sent {count} times over {hop:?}: {sent:?}"));
        }
    }
    Ok(())
}
