//! The shell around the core: hears, asks the core, does what it says. Nothing clever.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axoneme_xds::{
    Change, Key, Receipt,
    grpc::{Hub, Settler, Signal, Subscription},
    type_urls::{LISTENER, ROUTE},
};
use metrics::counter;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        watch,
    },
    time::{Instant, sleep_until},
};

use super::{
    answers::Answers,
    away::Away,
    drain::{Drained, Draining},
    listen::Listening,
};
use crate::{
    Config, NodeEvent,
    ads::{Heard, Offer},
    datapath::{Datapath, DatapathError, Entry, FrontendState},
    envoy_module::EnvoyModule,
    http::Question,
    metrics as names,
    ports::PortRange,
    quarantine::Quarantine,
    reconcile::{Event, Op, Reconcile, Ticket},
    seat::Seat,
    state_file::{StateFiles, SuspectFiles},
    status::OperatorStatus,
};

/// So long the operator says nothing when it has said all that belongs together.
const QUIET: Duration = Duration::from_millis(200);

/// A listener that found no free port looks again: each look asks the kernel about every port that no listener holds.
const PORTS: Duration = Duration::from_secs(2);

/// Where events come from.
pub(super) struct Inputs {
    pub(super) intents: Subscription,
    pub(super) envoy: UnboundedReceiver<Heard>,
    pub(super) questions: UnboundedReceiver<Question>,
    pub(super) addresses: watch::Receiver<Vec<IpAddr>>,
}

/// What a node acts on.
pub(super) struct Reach {
    pub(super) hub: Hub<Offer>,
    pub(super) datapath: Box<dyn Datapath>,
    pub(super) state: StateFiles,
    pub(super) suspects: SuspectFiles,
    pub(super) settler: Settler,
    pub(super) module: EnvoyModule,
    pub(super) events: Option<UnboundedSender<NodeEvent>>,
}

/// The core and all that it acts on.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) ports: PortRange,
    pub(super) core: Reconcile,
    pub(super) quarantine: Quarantine,
    hub: Hub<Offer>,
    pub(super) datapath: Box<dyn Datapath>,
    state: StateFiles,
    pub(super) suspects: SuspectFiles,
    pub(super) settler: Settler,
    pub(super) module: EnvoyModule,
    events: Option<UnboundedSender<NodeEvent>>,
    receipts: HashMap<Ticket, Receipt>,
    tickets: Ticket,
    listening: Listening,
    answers: Answers,
    pub(super) draining: Draining,
    pub(super) away: Away,
    quiet_at: Option<Instant>,
    /// When to look for ports again.
    ports_at: Option<Instant>,
    pub(super) operator: OperatorStatus,
    /// Whether an Envoy was there in this run.
    pub(super) envoy_seen: bool,
}

impl Node {
    pub(super) fn new(config: &Config, core: Reconcile, reach: Reach) -> Self {
        let Reach { hub, datapath, state, suspects, settler, module, events } = reach;
        Self {
            name: config.node_name.clone(),
            ports: config.ports,
            core,
            quarantine: Quarantine::default(),
            hub,
            datapath,
            state,
            suspects,
            settler,
            module,
            events,
            receipts: HashMap::new(),
            tickets: 0,
            listening: Listening::default(),
            answers: Answers::default(),
            draining: Draining::new(config.drain_timeout),
            away: Away::new(Instant::now()),
            quiet_at: None,
            ports_at: None,
            operator: OperatorStatus::default(),
            envoy_seen: false,
        }
    }

    /// Runs until a source of events ends.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        loop {
            let (sockets, trials) = (self.listening.next(), self.quarantine.next());
            let (drains, away) = (self.draining.next(), self.away.next());
            let timers = [sockets, self.answers.next(), drains, trials, away, self.quiet_at, self.ports_at];
            let wake = timers.into_iter().flatten().min();
            tokio::select! {
                signal = inputs.intents.next() => match signal {
                    Some(signal) => self.hear(signal),
                    None => return,
                },
                Some(heard) = inputs.envoy.recv() => match heard {
                    Heard::Event(event) => self.hear_envoy(event),
                    Heard::Opening(opening) => self.opens(opening),
                    Heard::Remains(seat) => self.prefer(seat),
                },
                Some(question) = inputs.questions.recv() => self.answer(question),
                Ok(()) = inputs.addresses.changed() => {
                    let addresses = inputs.addresses.borrow_and_update().clone();
                    self.feed(Event::NodeAddresses(addresses));
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.look(),
            }
        }
    }

    /// New connections are for this Envoy.
    pub(super) fn prefer(&mut self, seat: Seat) {
        told(self.datapath.prefer(seat));
    }

    fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Connected => {
                self.operator = OperatorStatus { connected: true, last_error: None };
                self.quiet_at = Some(Instant::now() + QUIET);
                self.tell(NodeEvent::OperatorConnected);
            }
            Signal::Disconnected { reason, .. } => {
                counter!(names::OPERATOR_LOST).increment(1);
                self.quiet_at = None;
                let now = OperatorStatus { connected: false, last_error: Some(reason.clone()) };
                // Each failed attempt is counted; people hear of it when something is new.
                if std::mem::replace(&mut self.operator, now.clone()) != now {
                    self.tell(NodeEvent::OperatorLost { reason });
                }
            }
            Signal::Update(update) => {
                self.tickets += 1;
                self.receipts.insert(self.tickets, update.receipt);
                if self.operator.connected {
                    self.quiet_at = Some(Instant::now() + QUIET);
                }
                let key = (update.type_url, update.name);
                let event = Event::Intent { key, change: update.change, ticket: self.tickets };
                self.takes_notice(&event);
                self.feed(event);
            }
        }
    }

    fn hear_envoy(&mut self, event: Event) {
        if let Event::Accepted { key, version: Some(version) } | Event::Refused { key, version: Some(version), .. } =
            &event
        {
            self.answers.answered(key, version);
        }
        if let Event::Refused { message, .. } = &event
            && self.module.refused(message)
        {
            self.settler.set_features(self.module.features());
        }
        match &event {
            Event::EnvoyConnected => {
                self.away.connected(Instant::now());
                self.tell(NodeEvent::EnvoyConnected);
            }
            Event::EnvoyLost => {
                self.away.lost(Instant::now(), &told(self.datapath.counters()).unwrap_or_default());
                self.tell(NodeEvent::EnvoyLost);
            }
            Event::Refused { .. } if self.operator.connected => {
                // What the refused one referred to may be of no use now.
                self.quiet_at.get_or_insert(Instant::now() + QUIET);
            }
            _ => {}
        }
        if self.takes_notice(&event) {
            self.feed(event);
        }
    }

    /// Looks at what was waited for.
    fn look(&mut self) {
        let now = Instant::now();
        let verdict = self.quarantine.look(now);
        self.carry_out(verdict);
        self.look_for_envoy(now);
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.quiet_at = None;
            self.feed(Event::Quiet);
        }
        if self.ports_at.is_some_and(|at| at <= now) {
            self.ports_at = None;
            self.feed(Event::LookForPorts);
        }
        for (key, version) in self.answers.overdue(now) {
            counter!(names::UNANSWERED).increment(1);
            tracing::warn!(type_url = &*key.0, name = &*key.1, "Envoy does not answer; nobody waits for it any more");
            self.feed(Event::Overdue { key, version });
        }
        let datapath = &self.datapath;
        let (open, late) = self.listening.look(now, |port| told(datapath.listening(port)).unwrap_or(false));
        for port in open {
            self.feed(Event::Listening { port });
        }
        for port in late {
            counter!(names::NOT_LISTENING).increment(1);
            tracing::warn!(port, "Envoy took the listener, but nothing listens");
        }
        let datapath = &self.datapath;
        for drained in self.draining.look(now, |frontends| told(datapath.connections(frontends))) {
            match drained {
                Drained::Empty(address) => self.feed(Event::Drained { address }),
                Drained::Expired(address, connections) => self.expire(address, connections),
                Drained::Late(address, connections) => self.cut(address, connections),
            }
        }
    }

    /// Whether Envoy has been away for long, or is back.
    fn look_for_envoy(&mut self, now: Instant) {
        if self.away.is_long(now) {
            let datapath = &self.datapath;
            // It may serve on while its stream is broken.
            if self.core.proxy_ports().any(|port| told(datapath.listening(port)).unwrap_or(false)) {
                self.away.listens(now);
            } else {
                self.feed(Event::ProxyAway);
            }
        }
        if self.away.is_over(now) {
            let counters = told(self.datapath.counters()).unwrap_or_default();
            let sums = self.away.sum(&counters);
            for (service, name) in self.core.services() {
                if let Some(connections) = sums.get(&service) {
                    tracing::warn!(name = &**name, connections, "went around the proxy while it was away");
                }
            }
        }
    }

    /// The connections of a frontend have had their time.
    fn expire(&mut self, address: SocketAddr, connections: usize) {
        counter!(names::DRAIN_TIMEOUTS).increment(1);
        let redirect = self.core.redirect_of(address).map(|name| &**name);
        tracing::warn!(%address, redirect, connections, "connections did not end in time; Envoy is told to end them");
        self.feed(Event::Expired { address });
    }

    /// And Envoy has not ended them, which it does not while the listener has other work.
    fn cut(&mut self, address: SocketAddr, counted: usize) {
        let connections = told(self.datapath.cut(address)).unwrap_or(counted);
        counter!(names::CONNECTIONS_CUT).increment(u64::try_from(connections).unwrap_or(u64::MAX));
        let redirect = self.core.redirect_of(address).map(|name| &**name);
        tracing::warn!(%address, redirect, connections, "connections did not end, and were cut");
        self.feed(Event::Drained { address });
    }

    /// Gives an event to the core, does what it says, and tells it what came of that.
    pub(super) fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let ops = self.core.apply(event);
            events.extend(self.perform(ops));
        }
        self.ports_at = self.core.starves().then(|| self.ports_at.unwrap_or_else(|| Instant::now() + PORTS));
    }

    pub(super) fn perform(&mut self, ops: Vec<Op>) -> Vec<Event> {
        let (mut offers, mut results) = (Vec::<(Key, Change)>::new(), Vec::new());
        for op in ops {
            match op {
                Op::Serve(resource) => {
                    if matches!(&*resource.type_url, LISTENER | ROUTE) {
                        self.answers.await_answer(resource.key(), resource.version.clone(), Instant::now());
                    }
                    offers.push((resource.key(), Change::Put(resource)));
                }
                Op::Unserve(key) => {
                    self.answers.gone(&key);
                    offers.push((key, Change::Remove));
                }
                Op::WatchListen(port) => self.listening.watch(port, Instant::now()),
                Op::SetFrontend(address, entry) => results.push(self.set(address, entry)),
                Op::SetSources(name, service, ranges) => {
                    let result = self.datapath.set_sources(service, &ranges);
                    if let Err(error) = &result {
                        names::count_error(error);
                        tracing::error!(name = &*name, %error, "the kernel refused who may connect");
                    }
                    results.push(Event::SourcesSet { name, result: result.map_err(|error| error.to_string()) });
                }
                Op::KeepClients(on) => {
                    told(self.datapath.keep_clients(on));
                }
                Op::Drain(address) => self.draining.begin(address, Instant::now()),
                Op::RemoveFrontend(address) => {
                    self.draining.end(address);
                    told(self.datapath.remove(address));
                }
                Op::Settle(ticket, result) => {
                    if let Some(receipt) = self.receipts.remove(&ticket) {
                        self.settler.settle(receipt, result);
                    }
                }
                Op::TakeBack(key, held) => self.settler.take_back(key, held),
                Op::Persist(record) => stored(&record.resource.key(), self.state.put(&record)),
                Op::Forget(key) => stored(&key, self.state.remove(&key)),
                Op::Tell(event) => self.tell(event),
            }
        }
        // In one go, so that Envoy hears of it in the order that it needs.
        if !offers.is_empty() {
            results.extend(self.put_on_trial(&offers));
            self.hub.update(|offer| offer.0.apply(offers));
        }
        results
    }

    fn set(&mut self, address: SocketAddr, entry: Entry) -> Event {
        if entry.state == FrontendState::On {
            self.draining.end(address);
        }
        let result = self.datapath.set(address, entry);
        if let Err(error) = &result {
            names::count_error(error);
            tracing::error!(%address, %error, "the kernel refused a frontend");
        }
        Event::FrontendSet { address, result: result.map_err(|error| error.to_string()) }
    }

    fn tell(&self, event: NodeEvent) {
        names::count(&event);
        match &event {
            NodeEvent::OperatorLost { reason } => tracing::warn!(reason, "operator lost; going on with what there is"),
            NodeEvent::EnvoyLost => tracing::warn!("Envoy lost"),
            NodeEvent::Rejected { type_url, name, message } => {
                tracing::warn!(type_url = &**type_url, name = &**name, message, "resource refused");
            }
            NodeEvent::PortConflict { name, port } => {
                tracing::warn!(name = &**name, port, "another program has the proxy port; moving");
            }
            NodeEvent::ListenerReady { name, port } => tracing::info!(name = &**name, port, "listener ready"),
            NodeEvent::ListenerGone { name } => tracing::info!(name = &**name, "listener gone"),
            NodeEvent::RedirectOn { name, owner, port } => {
                tracing::info!(name = &**name, owner, port, "redirect on");
            }
            NodeEvent::RedirectOff { name } => tracing::info!(name = &**name, "redirect off"),
            NodeEvent::Applied { type_url, name, version } => {
                tracing::debug!(type_url = &**type_url, name = &**name, version = &**version, "resource in force");
            }
            NodeEvent::OperatorConnected => tracing::info!("operator connected"),
            NodeEvent::EnvoyConnected => tracing::info!("Envoy connected"),
        }
        if let Some(events) = &self.events {
            // Whoever watched may have left.
            let _ = events.send(event);
        }
    }
}

/// Logs and counts what the kernel refused.
pub(super) fn told<T>(result: Result<T, DatapathError>) -> Option<T> {
    if let Err(error) = &result {
        names::count_error(error);
        tracing::error!(%error, "the kernel refused");
    }
    result.ok()
}

pub(super) fn stored(key: &Key, result: std::io::Result<()>) {
    if let Err(error) = result {
        counter!(names::STATE_ERRORS).increment(1);
        tracing::error!(type_url = &*key.0, name = &*key.1, %error, "state not kept; a restart without the operator lacks it");
    }
}
