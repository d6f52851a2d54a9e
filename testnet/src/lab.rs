//! A lab: the LAN, and what is plugged into it.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::unistd::Uid;

use crate::{
    Error, Layout, Namespace, Node, Result, address,
    cgroup::{self, LabGroup},
    namespace::Kind,
};

/// A laboratory of namespaces. Dropping it kills what runs in it and leaves nothing.
#[derive(Debug)]
pub struct Lab {
    // The order of the fields is the order of the end: first everything is killed.
    group: LabGroup,
    lan: Namespace,
    nodes: Vec<Namespace>,
    clients: u8,
}

/// Tells the labs of one process apart.
static LABS: AtomicU32 = AtomicU32::new(0);

/// Kills and removes what labs left whose owners were killed. Every [`Lab::new`] does it first.
/// Returns the names of the control groups that were removed.
///
/// # Errors
/// If such a control group cannot be removed.
pub fn sweep() -> Result<Vec<String>> {
    cgroup::sweep()
}

impl Lab {
    /// An empty lab: a LAN with its router. `name` is for people who look at processes and control groups.
    ///
    /// # Errors
    /// Without root ([`Error::NotRoot`]), or if the kernel lacks something.
    pub fn new(name: &str) -> Result<Self> {
        if !Uid::effective().is_root() {
            return Err(Error::NotRoot);
        }
        // What cannot be removed now is in nobody's way, and for the next sweep.
        drop(sweep());
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let group = LabGroup::create(&format!("{}-{number}-{name}", process::id()))?;
        let router = address::lan(address::ROUTER);
        let lan = Namespace::create("lan", router, Kind::Host, group.path.join("lan"))?;
        lan.ip([
            format!("link add br0 address {} type bridge", address::BRIDGE),
            format!("addr add {}/24 dev br0", router.v4),
            format!("addr add {}/64 dev br0 nodad", router.v6),
            "link set br0 up".to_owned(),
        ])?;
        Ok(Self { group, lan, nodes: Vec::new(), clients: 0 })
    }

    /// Adds a node, which knows the way to the pods of every other.
    ///
    /// # Errors
    /// If the kernel refuses, or the name is no host name.
    pub fn node(&mut self, name: &str, layout: Layout) -> Result<Node> {
        let number = next(self.nodes.len(), address::CLIENTS - address::NODES - 1, "node", name)?;
        let host = self.plug(name, address::NODES + number, Kind::Node)?;
        for (other, peer) in (1..).zip(&self.nodes) {
            host.ip(routes(&address::pod_ranges(other), peer))?;
            peer.ip(routes(&address::pod_ranges(number), &host))?;
        }
        self.nodes.push(host.clone());
        Node::new(host, number, layout)
    }

    /// Adds a host of the LAN that is no node and knows no way to pods or services ([`Lab::route`] gives it one).
    ///
    /// # Errors
    /// If the kernel refuses, or the name is no host name.
    pub fn client(&mut self, name: &str) -> Result<Namespace> {
        let number = next(self.clients.into(), u8::MAX - address::CLIENTS, "client", name)?;
        self.clients = number;
        self.plug(name, address::CLIENTS + number - 1, Kind::Host)
    }

    /// Shows a client the way to `range` (an address or a prefix): through `node`, as a load balancer's announcement would.
    ///
    /// # Errors
    /// If the kernel refuses the route.
    pub fn route(client: &Namespace, range: &str, node: &Node) -> Result<()> {
        let gateway = if range.contains(':') { node.address.v6.to_string() } else { node.address.v4.to_string() };
        client.ip([format!("route replace {range} via {gateway}")])
    }

    /// The switch of the LAN, with the router of the default routes: the place to cut a cable or listen to one.
    #[must_use]
    pub fn lan(&self) -> &Namespace {
        &self.lan
    }

    /// A new host with `eth0` in the LAN.
    fn plug(&self, name: &str, number: u8, kind: Kind) -> Result<Namespace> {
        let (own, router) = (address::lan(number), address::lan(address::ROUTER));
        let host = Namespace::create(name, own, kind, self.group.path.join(name))?;
        let port = format!("port{number}");
        self.lan.ip([
            format!("link add {port} type veth peer name eth0 netns {}", host.pid()),
            format!("link set {port} master br0 up"),
        ])?;
        host.ip([
            format!("addr add {}/24 dev eth0", own.v4),
            format!("addr add {}/64 dev eth0 nodad", own.v6),
            "link set eth0 up".to_owned(),
            format!("route add default via {}", router.v4),
            format!("route add default via {} dev eth0", router.v6),
        ])?;
        Ok(host)
    }
}

/// The number after `taken`, if it is at most `limit`.
fn next(taken: usize, limit: u8, what: &'static str, name: &str) -> Result<u8> {
    let full = || Error::Name { what, name: name.to_owned(), why: "the address plan has no room for it" };
    u8::try_from(taken + 1).ok().filter(|number| *number <= limit).ok_or_else(full)
}

/// The routes to the pods of `node`.
fn routes(ranges: &[String; 2], node: &Namespace) -> [String; 2] {
    let [v4, v6] = ranges;
    [format!("route add {v4} via {}", node.address.v4), format!("route add {v6} via {}", node.address.v6)]
}
