//! What a test of layouts stands on: a node of any make with its services by address translation, and who dials them from where.

use std::{net::SocketAddr, os::fd::OwnedFd};

use axoneme_testnet::{Iptables, Lab, Layout, Namespace, Node, Service, address, difference, wait_until};

use crate::{
    SOON,
    agent::Agent,
    proxy::{self, Server},
    scene::PROXY_PORT,
    talk::{Place, dial},
};

const BACKEND_PORT: u16 = 5678;
const NODE_PORT: u16 = 30_080;

/// Who makes the rules of the services.
#[derive(Clone, Copy)]
pub(crate) enum Nat {
    /// nftables, which masquerades everything.
    Nftables,
    /// iptables, which masquerades what has to be.
    Iptables(Iptables),
    /// Virtual servers, which masquerade everything.
    Ipvs,
    /// Nobody: only the proxy answers, and connection tracking is off.
    Nobody,
}

/// A node before the datapath starts.
pub(crate) struct Ground {
    pub(crate) pod: Namespace,
    /// The pod behind the services, which is also one that dials them.
    pub(crate) backend: Namespace,
    /// Outside.
    pub(crate) clients: Vec<Namespace>,
    pub(crate) node: Node,
    /// Another node, if there is one.
    pub(crate) far: Option<Node>,
    /// Programs of others, as long as they are held.
    pub(crate) programs: Vec<OwnedFd>,
    pub(crate) lab: Lab,
}

impl Ground {
    pub(crate) fn new(name: &str, layout: Layout) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut node = lab.node("node1", layout).unwrap();
        let (pod, backend) = (node.pod("foo").unwrap(), node.pod("bar").unwrap());
        let client = lab.client("client").unwrap();
        for range in [address::SERVICES_V4, address::SERVICES_V6, address::BALANCERS_V4, address::BALANCERS_V6] {
            Lab::route(&client, range, &node).unwrap();
        }
        Self { pod, backend, clients: vec![client], node, far: None, programs: vec![], lab }
    }

    /// What clients dial: a service's address, a load balancer's, and a port of the node, IPv4 and IPv6.
    pub(crate) fn frontends(&self) -> Vec<SocketAddr> {
        let given = ["10.232.0.10:80", "10.233.0.10:80", "[fd00:232::10]:80", "[fd00:233::10]:80"];
        let given = given.iter().map(|text| text.parse().unwrap());
        given.chain(self.node.address.each().map(|ip| SocketAddr::new(ip, NODE_PORT))).collect()
    }

    pub(crate) fn places(&self) -> Vec<Place<'_>> {
        let inside = [Place::Net(&self.pod), Place::Net(&self.backend), Place::Host(&self.node)];
        inside.into_iter().chain(self.clients.iter().map(Place::Net)).collect()
    }

    /// Makes the services, looks that they work, and starts the datapath.
    pub(crate) fn stage(self, nat: Nat) -> Stage {
        let backend = proxy::backend(&self.backend, BACKEND_PORT);
        let to = |frontend: SocketAddr| {
            let [v4, v6] = self.backend.address.each();
            SocketAddr::new(if frontend.is_ipv4() { v4 } else { v6 }, BACKEND_PORT)
        };
        let service = |frontend| Service { frontend, backends: vec![to(frontend)] };
        let services: Vec<_> = self.frontends().into_iter().map(service).collect();
        match nat {
            Nat::Nftables => self.node.serve_by_nat(&services),
            Nat::Iptables(which) => self.node.serve_by_iptables(&services, which),
            Nat::Ipvs => self.node.serve_by_ipvs(&services),
            Nat::Nobody => Ok(()),
        }
        .unwrap();
        let footprint = uncounted(&self.node);
        let agent = Agent::start(&self.node);
        Stage { agent, footprint, _backend: backend, ground: self }
    }
}

/// The datapath on its ground.
pub(crate) struct Stage {
    pub(crate) agent: Agent,
    footprint: String,
    _backend: Server,
    pub(crate) ground: Ground,
}

impl Stage {
    pub(crate) fn proxy(&self) -> Server {
        proxy::proxy(&self.ground.node, PROXY_PORT)
    }

    /// Switches all frontends to the proxy.
    pub(crate) fn redirect(&mut self) {
        for frontend in self.ground.frontends() {
            self.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        }
    }

    pub(crate) fn remove(&mut self) {
        for frontend in self.ground.frontends() {
            self.agent.tell(&format!("remove {frontend}"));
        }
    }

    /// Everybody dials everything: the proxy answers, and both sides see true addresses. `what` names the layout.
    pub(crate) fn everybody_meets_the_proxy(&self, what: &str) {
        let mut connections = Vec::new();
        for frontend in self.ground.frontends() {
            for place in self.ground.places() {
                let talk =
                    dial(&place, frontend).unwrap_or_else(|error| panic!("{what}: {place:?} {frontend}: {error}"));
                assert_eq!((talk.who.as_str(), talk.local), ("proxy", frontend), "{what}: {place:?}");
                assert_eq!(talk.peer.ip(), place.address(frontend), "{what}: {place:?} {frontend}");
                let (from, to) = (talk.peer, talk.local);
                connections.push(format!(
                    "src={} dst={} sport={} dport={} ",
                    from.ip(),
                    to.ip(),
                    from.port(),
                    to.port()
                ));
            }
        }
        let tracked = ["ipv4", "ipv6"].map(|family| self.ground.node.run("conntrack", ["-L", "-f", family]).unwrap());
        let entries: Vec<_> = tracked
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| connections.iter().any(|connection| line.contains(connection)))
            .collect();
        assert!(entries.is_empty(), "{what}: connection tracking saw {entries:?}");
    }

    /// Everybody dials one frontend of each family, and the backend answers.
    pub(crate) fn everybody_meets_the_backend(&self, what: &str) {
        for frontend in self.ground.frontends().into_iter().step_by(2) {
            for place in self.ground.places() {
                let talk =
                    dial(&place, frontend).unwrap_or_else(|error| panic!("{what}: {place:?} {frontend}: {error}"));
                assert_eq!(talk.who, "backend", "{what}: {place:?} {frontend}");
            }
        }
    }

    /// Takes everything away and looks whether something was left.
    pub(crate) fn end(mut self) {
        self.agent.tell("cleanup");
        self.agent.kill();
        // Clients may need a moment to end.
        let left = || difference(&self.footprint, &uncounted(&self.ground.node));
        let _ = wait_until("nothing is left", SOON, || Ok(left().is_empty()));
        assert_eq!(left(), "");
    }
}

/// What the node is like, without what rules of iptables have counted.
fn uncounted(node: &Node) -> String {
    let footprint = node.footprint().unwrap();
    let mut words = footprint.split_inclusive(char::is_whitespace);
    let mut text = String::new();
    while let Some(word) = words.next() {
        text.push_str(word);
        if matches!(word, "packets " | "bytes ") {
            words.next();
        }
    }
    text
}
