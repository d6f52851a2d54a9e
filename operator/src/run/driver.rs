//! The one task that moves the engine: source events and nodes' answers in, intents and writes out.
//!
//! It sleeps unless something happened. All replicas run it; only the one that leads passes writes on.

use std::time::{Duration, Instant};

use axoneme_xds::grpc::Hub;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::{
    departures::Departures,
    streams::{Streams, Told},
    told::{describe, log, note},
};
use crate::{
    Changes, Engine, Kind, ObjectKey, Problem, ProblemChange, SourceEvent, Write, kube_source::loaders::Expected,
    metrics, serve::Heard, timer::at,
};

mod departures;
mod streams;
mod told;
mod world;

pub use world::World;

/// Answers of many nodes make one status: how long to wait for more of them.
const STATUS_PAUSE: Duration = Duration::from_millis(200);
/// The same while nodes come to a new leader: a status that they have just not confirmed yet would be written for nothing.
const GATHERING_PAUSE: Duration = Duration::from_secs(1);
/// How long a node may be away before statuses say so, unless the operator is told otherwise. A pod that is replaced takes some
/// ten seconds.
pub const NODE_GRACE: Duration = Duration::from_secs(30);
/// Answers that are taken in one go.
const ANSWERS: usize = 256;

/// What the driver listens to.
#[derive(Debug)]
pub struct Inputs {
    /// From the sources.
    pub events: mpsc::Receiver<SourceEvent>,
    /// From the nodes' streams.
    pub streams: mpsc::UnboundedReceiver<Heard>,
    /// Whether this replica writes.
    pub leading: watch::Receiver<bool>,
    /// Nodes that should serve.
    pub expected: watch::Receiver<Expected>,
    /// Every status is to be told again.
    pub again: mpsc::UnboundedReceiver<()>,
}

/// An input's other end is gone.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended")]
pub struct InputEnded(&'static str);

/// Waits until a flag is set, such as that every kind has been listed. False when `shutdown` came first.
pub async fn until_true(mut flag: watch::Receiver<bool>, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        changed = flag.wait_for(|flag| *flag) => changed.is_ok(),
    }
}

/// Drives the engine in `hub` until `shutdown`. `synced` turns true when every kind has been listed once.
///
/// # Errors
/// [`InputEnded`] when nothing can come any more.
pub async fn run(
    hub: Hub<Engine>,
    inputs: Inputs,
    world: impl World,
    synced: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<(), InputEnded> {
    let driver = Driver {
        departures: Departures::new(world.node_grace()),
        hub,
        world,
        synced,
        leads: false,
        streams: Streams::default(),
        expects: false,
        status_due: None,
        quiet_until: None,
    };
    tokio::select! {
        // Inputs end while the process does; that is no failure then.
        biased;
        () = shutdown.cancelled() => Ok(()),
        ended = driver.listen(inputs) => Err(ended),
    }
}

struct Driver<W> {
    hub: Hub<Engine>,
    world: W,
    synced: watch::Sender<bool>,
    leads: bool,
    streams: Streams,
    departures: Departures,
    /// Whether it is known which nodes should serve.
    expects: bool,
    /// When statuses are looked at again.
    status_due: Option<Instant>,
    /// Until when nodes are waited for, at the latest.
    quiet_until: Option<Instant>,
}

impl<W: World> Driver<W> {
    async fn listen(mut self, inputs: Inputs) -> InputEnded {
        let Inputs { mut events, mut streams, mut leading, mut expected, mut again } = inputs;
        let mut heard = Vec::with_capacity(ANSWERS);
        let leads = *leading.borrow_and_update();
        self.lead(leads);
        self.expect(&mut expected);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(event),
                    None => return InputEnded("the sources"),
                },
                taken = streams.recv_many(&mut heard, ANSWERS) => match taken {
                    0 => return InputEnded("the intents server"),
                    _ => self.hear(&mut heard),
                },
                changed = leading.changed() => match changed {
                    Ok(()) => {
                        // What the sources have told before, a leader knows.
                        for _ in 0..events.len() {
                            events.try_recv().into_iter().for_each(|event| self.event(event));
                        }
                        let leads = *leading.borrow_and_update();
                        self.lead(leads);
                    }
                    Err(_) => return InputEnded("the lease"),
                },
                changed = expected.changed() => match changed {
                    Ok(()) => self.expect(&mut expected),
                    Err(_) => return InputEnded("the watch of the node-loader's pods"),
                },
                Some(()) = again.recv() => self.tell_again(),
                () = at(self.departures.next()) => self.forget(),
                () = at(self.next_look()) => self.statuses(),
            }
        }
    }

    fn event(&mut self, event: SourceEvent) {
        let (kind, what) = (event.kind(), describe(&event));
        let started = Instant::now();
        let synced = self.is_synced();
        let (hub, world) = (&self.hub, &mut self.world);
        let mut changes = Changes::default();
        hub.update(|engine| {
            changes = world.apply(engine, event);
            std::mem::take(&mut changes.intents)
        });
        ::metrics::histogram!(metrics::PUSH_SECONDS).record(started.elapsed());
        ::metrics::counter!(metrics::EVENTS, "kind" => kind.as_str(), "event" => what).increment(1);
        if !synced && hub.read(|engine| engine.is_synced(&Kind::ALL)) {
            self.first_look();
        } else {
            self.problems(&changes);
        }
        self.write(changes.writes);
        self.settled();
    }

    /// What is merely not listed yet is nobody's problem.
    fn problems(&mut self, changes: &Changes) {
        if self.is_synced() {
            let (leads, world) = (self.leads, &mut self.world);
            self.hub.read(|engine| {
                for (object, change) in &changes.problems {
                    log(object, change);
                    if leads {
                        world.problems(engine, object, change, false);
                    }
                }
            });
        }
    }

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn first_look(&mut self) {
        tracing::info!("every kind has been listed");
        self.synced.send_replace(true);
        self.wait_for_nodes();
        self.hub.read(|engine| standing(engine).for_each(|(object, change)| log(object, &change)));
        self.tell_standing_problems();
    }

    fn wait_for_nodes(&mut self) {
        let gathering = self.world.gathering();
        self.quiet_until = (!gathering.is_zero()).then(|| Instant::now() + gathering);
        self.status_due = None;
    }

    /// It may be that nobody told them before us.
    fn tell_standing_problems(&mut self) {
        if self.leads && self.is_synced() {
            let world = &mut self.world;
            self.hub.read(|engine| {
                standing(engine).for_each(|(object, change)| world.problems(engine, object, &change, true));
            });
        }
    }

    /// Takes in what is heard of nodes. Leaves `heard` empty.
    fn hear(&mut self, heard: &mut Vec<Heard>) {
        let mut told = Vec::new();
        for heard in heard.drain(..) {
            match heard {
                Heard::Opening { node, has_module, go } => {
                    self.open(&node, has_module);
                    // The node may have given up.
                    let _ = go.send(());
                }
                Heard::Stream(event) => told.extend(self.streams.take(event)),
            }
        }
        self.answers(&told);
    }

    fn open(&mut self, node: &str, has_module: bool) {
        let mut changes = Changes::default();
        self.hub.update(|engine| {
            changes = engine.node_opens(node, has_module);
            std::mem::take(&mut changes.intents)
        });
        self.problems(&changes);
        self.write(changes.writes);
    }

    fn answers(&mut self, told: &[Told]) {
        let departures = &mut self.departures;
        let mut answered = Vec::new();
        let mut changes = Changes::default();
        self.hub.update(|engine| {
            for told in told {
                match told {
                    Told::Connected(node) => {
                        engine.node_connected(node);
                        departures.connected(node, Instant::now());
                    }
                    Told::Gone(node) => {
                        engine.node_gone(node);
                        departures.gone(node, Instant::now());
                    }
                    Told::Answer(node, outcome) => {
                        let owners = engine.node_answered(node, outcome);
                        note(node, outcome, &owners);
                        answered.extend(owners);
                    }
                }
            }
            changes = engine.settle_refusals(answered);
            // Answers change what is reported, not what nodes are told.
            Default::default()
        });
        self.problems(&changes);
        if self.quiet_until.is_some() {
            // Nodes still speak: a look is worth it when they have ended.
            self.status_due = None;
        }
        self.settled();
    }

    fn expect(&mut self, expected: &mut watch::Receiver<Expected>) {
        let Some(nodes) = expected.borrow_and_update().clone() else { return };
        self.expects = true;
        let mut writes = Vec::new();
        self.hub.update(|engine| {
            writes = engine.expect_nodes(nodes);
            Default::default()
        });
        self.write(writes);
        self.settled();
    }

    fn forget(&mut self) {
        while let Some(node) = self.departures.take(Instant::now()) {
            let mut changes = Changes::default();
            self.hub.update(|engine| {
                changes = engine.forget_node(&node);
                Default::default()
            });
            self.problems(&changes);
        }
        self.settled();
    }

    fn lead(&mut self, leads: bool) {
        if std::mem::replace(&mut self.leads, leads) == leads {
            return;
        }
        if leads {
            let outstanding = self.hub.read(Engine::outstanding_writes);
            tracing::info!(writes = outstanding.len(), "this replica writes from now on");
            self.write(outstanding);
            self.tell_standing_problems();
            self.wait_for_nodes();
            self.tell_again();
        } else {
            self.world.step_down();
        }
    }

    fn tell_again(&mut self) {
        self.hub.update(|engine| {
            engine.unsettle();
            Default::default()
        });
        self.settled();
    }

    /// Not before all nodes have come, or had their time to.
    fn next_look(&self) -> Option<Instant> {
        let (due, Some(quiet)) = (self.status_due?, self.quiet_until) else { return self.status_due };
        let absent = || self.hub.read(|engine| engine.intents().absent_nodes().next().is_some());
        Some(if !self.expects || absent() { quiet } else { due.min(quiet) })
    }

    fn statuses(&mut self) {
        (self.status_due, self.quiet_until) = (None, None);
        let mut writes = Vec::new();
        self.hub.update(|engine| {
            writes = engine.take_status_writes();
            // A status is for people: no node is told anything.
            Default::default()
        });
        self.write(writes);
    }

    fn write(&mut self, writes: Vec<Write>) {
        if self.leads && !writes.is_empty() {
            self.world.write(writes);
        }
    }

    /// A follower's statuses stay unsettled: they are outstanding when it leads.
    fn settled(&mut self) {
        self.world.changed();
        let wanted = self.leads && self.is_synced() && self.status_due.is_none();
        if wanted && self.hub.read(Engine::has_unsettled_status) {
            let pause = if self.quiet_until.is_some() { GATHERING_PAUSE } else { STATUS_PAUSE };
            self.status_due = Some(Instant::now() + pause);
        }
    }
}

/// All problems, as if they were new.
fn standing(engine: &Engine) -> impl Iterator<Item = (&ObjectKey, ProblemChange)> {
    let news = |problems: &Vec<Problem>| ProblemChange { added: problems.clone(), cleared: Vec::new() };
    engine.problems().iter().map(move |(object, problems)| (object, news(problems)))
}

#[cfg(test)]
mod tests;
