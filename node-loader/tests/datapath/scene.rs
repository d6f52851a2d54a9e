//! The stage of every test: a node with two pods and a client outside, a service by address translation, and the datapath.

use std::{net::SocketAddr, time::Duration};

use axoneme_node::kernel::Attachment;
use axoneme_testnet::{Lab, Layout, Namespace, Node, Service, address, difference, wait_until};

use crate::{
    agent::Agent,
    proxy::{self, Server},
    talk::Place,
};

/// The port of the toy proxy.
pub(crate) const PROXY_PORT: u16 = 10_001;
pub(crate) const BACKEND_PORT: u16 = 5678;

pub(crate) struct Scene {
    pub(crate) agent: Agent,
    pub(crate) pod: Namespace,
    /// The pod behind the service.
    pub(crate) backend: Namespace,
    pub(crate) node: Node,
    client: Namespace,
    frontends: [SocketAddr; 2],
    footprint: String,
    _backend: Server,
    lab: Lab,
}

impl Scene {
    pub(crate) fn new(name: &str, layout: Layout) -> Self {
        Self::on(name, layout, None)
    }

    /// The same with a datapath that sits on devices as `attachment` says.
    pub(crate) fn on(name: &str, layout: Layout, attachment: Option<Attachment>) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut node = lab.node("node1", layout).unwrap();
        let (pod, backend) = (node.pod("foo").unwrap(), node.pod("bar").unwrap());
        let client = lab.client("client").unwrap();
        for range in [address::SERVICES_V4, address::SERVICES_V6] {
            Lab::route(&client, range, &node).unwrap();
        }
        let server = proxy::backend(&backend, BACKEND_PORT);
        let frontends = ["10.232.0.10:80".parse().unwrap(), "[fd00:232::10]:80".parse().unwrap()];
        let to: [SocketAddr; 2] = backend.address.each().map(|ip| SocketAddr::new(ip, BACKEND_PORT));
        let services = [0, 1].map(|at| Service { frontend: frontends[at], backends: vec![to[at]] });
        node.serve_by_nat(&services).unwrap();
        let footprint = node.footprint().unwrap();
        let agent = Agent::start_on(&node, attachment);
        Self { agent, pod, backend, node, client, frontends, footprint, _backend: server, lab }
    }

    pub(crate) fn proxy(&self) -> Server {
        proxy::proxy(&self.node, PROXY_PORT)
    }

    /// The service, by IPv4 and by IPv6.
    pub(crate) fn frontends(&self) -> [SocketAddr; 2] {
        self.frontends
    }

    /// The client outside.
    pub(crate) fn outside(&self) -> Namespace {
        self.client.clone()
    }

    pub(crate) fn places(&self) -> [Place<'_>; 3] {
        [Place::Net(&self.pod), Place::Host(&self.node), Place::Net(&self.client)]
    }

    /// A namespace behind the outside client, on a link with a small MTU that only the client knows of.
    pub(crate) fn behind_a_small_link(&mut self, frontend: SocketAddr) -> Namespace {
        let mtu = small_mtu(frontend);
        let (own, gateway, length) =
            if frontend.is_ipv4() { ("10.240.0.2", "10.240.0.1", 24) } else { ("fd00:240::2", "fd00:240::1", 64) };
        let behind = self.lab.client(if frontend.is_ipv4() { "behind4" } else { "behind6" }).unwrap();
        let far = self.client.address.each()[usize::from(frontend.is_ipv6())];
        let device = if frontend.is_ipv4() { "small4" } else { "small6" };
        let at_once = if frontend.is_ipv4() { "" } else { "nodad" };
        self.client
            .ip([
                format!("link add {device} mtu {mtu} type veth peer name {device} mtu {mtu} netns {}", behind.pid()),
                format!("addr add {gateway}/{length} dev {device} {at_once}"),
                format!("link set {device} up"),
            ])
            .unwrap();
        self.client.set("ipv4.ip_forward", "1").unwrap();
        self.client.set("ipv6.conf.all.forwarding", "1").unwrap();
        behind
            .ip([
                "link set eth0 down".to_owned(),
                // The full MTU on this side, so that its handshake promises too much.
                format!("link set {device} up"),
                format!("addr add {own}/{length} dev {device} {at_once}"),
                format!("route add {} via {gateway} advmss 1440", frontend.ip()),
            ])
            .unwrap();
        self.node.ip([format!("route add {own} via {far}")]).unwrap();
        behind
    }

    /// Whether connection tracking has an entry with this client.
    pub(crate) fn is_tracked(&self, peer: SocketAddr) -> bool {
        let family = if peer.is_ipv4() { "ipv4" } else { "ipv6" };
        let entries = self.node.run("conntrack", ["-L", "-f", family]).unwrap();
        entries.contains(&format!("port={} ", peer.port()))
    }

    /// Waits until the monitor, which the agent watches, tells this.
    pub(crate) fn sees(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|last: &String| last.contains(wanted)) {
            seen.push(self.agent.ask("seen"));
            assert_ne!(seen.last().map(String::as_str), Some("nothing"), "{wanted} was not told, but {seen:?}");
        }
    }

    /// Takes everything away and looks whether something was left.
    pub(crate) fn end(mut self) {
        self.agent.tell("cleanup");
        self.agent.kill();
        // Clients may need a moment to end.
        let same = || Ok(difference(&self.footprint, &self.node.footprint()?).is_empty());
        let _ = wait_until("nothing is left", Duration::from_secs(20), same);
        assert_eq!(difference(&self.footprint, &self.node.footprint().unwrap()), "");
    }
}

/// In bytes, of the link of [`Scene::behind_a_small_link`].
pub(crate) fn small_mtu(frontend: SocketAddr) -> u32 {
    if frontend.is_ipv4() { 1300 } else { 1400 }
}
