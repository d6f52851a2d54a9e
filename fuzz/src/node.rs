//! A node's core with a world around it that agrees with everything: Envoy accepts, the kernel sets, connections end.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use axoneme_node::{
    OnProxyFailure,
    listener::Ground,
    ports::PortRange,
    reconcile::{Event, Op, Reconcile, Record, Settings, Ticket},
};
use axoneme_xds::{Change, Key};

pub(crate) struct Node {
    core: Reconcile,
    events: VecDeque<Event>,
    served: BTreeSet<Key>,
    frontends: BTreeSet<SocketAddr>,
    open: BTreeSet<Ticket>,
    tickets: Ticket,
}

impl Node {
    /// A node that finds these records of an earlier run.
    pub(crate) fn new(records: Vec<Record>) -> Self {
        let settings = Settings {
            ports: PortRange::DEFAULT,
            on_proxy_failure: OnProxyFailure::Bypass,
            ground: Ground { ipv6: true, groups: true },
            is_free: Box::new(|_| true),
        };
        let mut node = Self {
            core: Reconcile::new(settings, BTreeMap::new()),
            events: VecDeque::new(),
            served: BTreeSet::new(),
            frontends: BTreeSet::new(),
            open: BTreeSet::new(),
            tickets: 0,
        };
        let ops = node.core.restore(records, false);
        node.perform(ops);
        node.feed(Event::EnvoyConnected);
        node
    }

    pub(crate) fn addresses(&mut self, addresses: Vec<IpAddr>) {
        self.feed(Event::NodeAddresses(addresses));
    }

    pub(crate) fn intent(&mut self, key: &Key, change: Change) {
        self.tickets += 1;
        self.open.insert(self.tickets);
        self.feed(Event::Intent { key: key.clone(), change, ticket: self.tickets });
    }

    /// Lets everything happen that is to happen, and asserts that the operator has an answer to all it said but for what
    /// waits for something that never came.
    pub(crate) fn settle(&mut self) {
        self.feed(Event::Quiet);
        let waiting = self.core.summary();
        assert!(self.open.len() <= waiting.resources + waiting.redirects.len(), "no answer: {:?}", self.open);
    }

    pub(crate) fn serves(&self, key: &Key) -> bool {
        self.served.contains(key)
    }

    pub(crate) fn frontends(&self) -> bool {
        !self.frontends.is_empty()
    }

    fn feed(&mut self, event: Event) {
        self.events.push_back(event);
        let mut steps = 0;
        while let Some(event) = self.events.pop_front() {
            let ops = self.core.apply(event);
            self.perform(ops);
            steps += 1;
            assert!(steps < 100_000, "does not come to rest");
        }
    }

    fn perform(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Serve(resource) => {
                    self.served.insert(resource.key());
                    let (key, version) = (resource.key(), Some(resource.version));
                    self.events.push_back(Event::Accepted { key, version });
                }
                Op::Unserve(key) => {
                    self.served.remove(&key);
                    self.events.push_back(Event::Accepted { key, version: None });
                }
                Op::WatchListen(port) => self.events.push_back(Event::Listening { port }),
                Op::SetFrontend(address, _) => {
                    self.frontends.insert(address);
                    self.events.push_back(Event::FrontendSet { address, result: Ok(()) });
                }
                Op::SetSources(name, ..) => self.events.push_back(Event::SourcesSet { name, result: Ok(()) }),
                Op::Drain(address) => self.events.push_back(Event::Drained { address }),
                Op::RemoveFrontend(address) => drop(self.frontends.remove(&address)),
                Op::Settle(ticket, _) => assert!(self.open.remove(&ticket), "answered twice"),
                Op::TakeBack(..) | Op::Persist(_) | Op::Forget(_) | Op::KeepClients(_) | Op::Tell(_) => {}
            }
        }
    }
}
