//! Upstream connections that speak from the client's address, and those that cannot. The agent stands in for Envoy.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    time::Duration,
};

use axoneme_testnet::{Dual, Lab, Layout, Namespace, Node, difference, wait_until};
use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
        sockopt::{Mark, SendTimeout},
    },
    time::TimeVal,
};

use crate::{
    SOON,
    agent::Agent,
    proxy::{self, Server},
};

const BACKEND_PORT: u16 = 5678;
/// What Envoy's upstream sockets have from the bootstrap.
const UPSTREAM: u32 = 0xc00;

/// Two nodes with pods, and a client outside. Whoever has an address here is a backend too.
struct Stage {
    agent: Agent,
    client: Namespace,
    backend: Namespace,
    far: Namespace,
    outside: Namespace,
    node: Node,
    other: Node,
    footprint: String,
    _servers: Vec<Server>,
    _lab: Lab,
}

impl Stage {
    fn new(name: &str, layout: Layout) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let (mut node, mut other) = (lab.node("node1", layout).unwrap(), lab.node("node2", layout).unwrap());
        let (client, backend) = (node.pod("foo").unwrap(), node.pod("bar").unwrap());
        let (far, outside) = (other.pod("far").unwrap(), lab.client("outside").unwrap());
        // As network plug-ins do with what leaves for elsewhere.
        let [v4, v6] = node.pod_ranges();
        node.nft(&format!(
            "table inet plugin {{ chain post {{ type nat hook postrouting priority srcnat;\n\
             ip saddr {v4} ip daddr != {v4} masquerade\nip6 saddr {v6} ip6 daddr != {v6} masquerade\n}}\n}}\n"
        ))
        .unwrap();
        let servers = [&client, &backend, &far, &*node, &*other].map(|at| proxy::backend(at, BACKEND_PORT));
        let footprint = node.footprint().unwrap();
        let agent = Agent::start(&node);
        let _servers = servers.into();
        Self { agent, client, backend, far, outside, node, other, footprint, _servers, _lab: lab }
    }

    /// A connection that is bound to `from`: whom the backend at `to` sees, or why there is none.
    fn speak(&mut self, from: Dual, to: Dual, v6: bool) -> String {
        let [from, to] = [from, to].map(|it| it.each()[usize::from(v6)]);
        self.agent.ask(&format!("speak {from} {}", SocketAddr::new(to, BACKEND_PORT)))
    }

    fn end(mut self) {
        self.agent.tell("cleanup");
        self.agent.kill();
        let same = || Ok(difference(&self.footprint, &self.node.footprint()?).is_empty());
        let _ = wait_until("nothing is left", SOON, same);
        assert_eq!(difference(&self.footprint, &self.node.footprint().unwrap()), "");
    }
}

/// For the agent: binds to an address of somebody else, as Envoy does, dials, and talks.
pub(crate) fn speak(from: IpAddr, to: SocketAddr) -> String {
    talk(from, to).unwrap_or_else(|error| error.to_string())
}

fn talk(from: IpAddr, to: SocketAddr) -> std::io::Result<String> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, Mark, &UPSTREAM)?;
    proxy::let_foreign_addresses(&fd, to.is_ipv4());
    setsockopt(&fd, SendTimeout, &TimeVal::new(10, 0))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    let mut stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut greeting = String::new();
    reader.read_line(&mut greeting)?;
    // More than a packet each way, and then more than a segment.
    for words in ["hello".to_owned(), "much".repeat(20_000)] {
        writeln!(stream, "{words}")?;
        let mut answer = String::new();
        reader.read_line(&mut answer)?;
        assert!(answer.trim_end() == words, "not all came back");
    }
    let peer: SocketAddr = greeting.split(' ').nth(1).unwrap_or_default().parse().map_err(std::io::Error::other)?;
    Ok(peer.ip().to_string())
}

#[test]
fn the_backend_sees_the_client_wherever_replies_come_by() {
    for (name, layout) in [("kept-routed", Layout::Routed), ("kept-bridge", Layout::Bridge)] {
        let mut stage = Stage::new(name, layout);
        stage.agent.tell("keep on");
        for v6 in [false, true] {
            let at = usize::from(v6);
            let (foo, bar, far) = (stage.client.address, stage.backend.address, stage.far.address);
            let (outside, node, other) = (stage.outside.address, stage.node.address, stage.other.address);
            for (what, from, to) in [
                ("another pod of the node", foo, bar),
                ("a pod of another node", foo, far),
                ("a process of another node", foo, other),
                ("from outside to a pod of the node", outside, bar),
                ("from another node to a pod of this one", far, bar),
            ] {
                assert_eq!(stage.speak(from, to, v6), from.each()[at].to_string(), "{layout:?}, {what}");
            }
            // Where no reply would come by, it is as ever.
            let own: Vec<String> = own_addresses(&stage.node, v6);
            for (what, from, to) in [
                ("a pod to itself", foo, foo),
                ("a pod to a process of the node", foo, node),
                ("from outside to a pod of another node", outside, far),
                ("from outside to a process of another node", outside, other),
                ("from the node", node, bar),
            ] {
                let seen = stage.speak(from, to, v6);
                assert!(own.contains(&seen), "{layout:?}, {what}: {seen}, none of {own:?}");
            }
        }
        // What is new on the node is known at once, and what is gone is not.
        let late = stage.node.pod("late").unwrap();
        let server = proxy::backend(&late, BACKEND_PORT);
        let seen = |stage: &mut Stage| stage.speak(stage.outside.address, late.address, false);
        let outside = stage.outside.address.v4.to_string();
        wait_until("a new pod is near", SOON, || Ok(seen(&mut stage) == outside)).unwrap();
        drop((server, late));
        stage.end();
    }
}

#[test]
fn connection_tracking_has_no_part_in_it_and_the_next_loader_goes_on() {
    let mut stage = Stage::new("kept-on", Layout::Routed);
    stage.agent.tell("keep on");
    let (foo, far, outside) = (stage.client.address, stage.far.address, stage.outside.address);
    let (node, own) = (stage.node.clone(), own_addresses(&stage.node, false));
    let goes_on = |stage: &mut Stage, when: &str| {
        assert_eq!(stage.speak(foo, far, false), foo.v4.to_string(), "{when}");
        // The answer would not come by this node.
        let seen = stage.speak(outside, far, false);
        assert!(own.contains(&seen), "{when}: {seen}, none of {own:?}");
    };
    goes_on(&mut stage, "at first");
    let entries = stage.node.run("conntrack", ["-L", "-f", "ipv4"]).unwrap();
    assert!(!entries.contains(&format!("src={} dst={}", foo.v4, far.v4)), "{entries}");
    assert!(stage.node.run("nft", ["list", "table", "inet", "axoneme"]).unwrap().contains("masquerade"));

    stage.agent.kill();
    stage.agent.restart(&node);
    goes_on(&mut stage, "before anybody has told the next loader");
    stage.agent.kill();
    node.run("sh", ["-ec", "cd /sys/fs/bpf/axoneme; mv * 0000000000000001"]).unwrap();
    stage.agent.restart(&node);
    goes_on(&mut stage, "nor one whose maps have another layout");
    stage.agent.tell("keep off");
    assert!(!stage.node.run("nft", ["list", "table", "inet", "axoneme"]).unwrap().contains("masquerade"));
    stage.end();
}

#[test]
fn behind_a_device_without_a_program_the_node_speaks_itself() {
    let mut stage = Stage::new("kept-tunnel", Layout::Routed);
    stage.agent.tell("keep on");
    let (foo, far) = (stage.client.address, stage.far.address);
    // What is a tunnel to the loader: a device of neither pods nor outside clients.
    stage.node.ip(["link add link eth0 name tunnel type macvlan mode bridge", "link set tunnel up"]).unwrap();
    let way = format!("route replace {}/32 via {} dev tunnel onlink", far.v4, stage.other.address.v4);
    stage.node.ip(["addr add 10.230.0.77/32 dev tunnel".to_owned(), way]).unwrap();
    let own = own_addresses(&stage.node, false);
    let mut seen = String::new();
    wait_until("the route is known", SOON, || {
        seen = stage.speak(foo, far, false);
        Ok(own.contains(&seen))
    })
    .unwrap_or_else(|error| panic!("{error}; the backend saw {seen}, none of {own:?}"));
    stage.node.ip(["link del tunnel"]).unwrap();
    wait_until("the route is forgotten", SOON, || Ok(stage.speak(foo, far, false) == foo.v4.to_string())).unwrap();
    stage.end();
}

fn own_addresses(node: &Node, v6: bool) -> Vec<String> {
    let family = if v6 { "-6" } else { "-4" };
    let text = node.run("ip", [family, "-o", "addr", "show", "scope", "global"]).unwrap();
    let address = |line: &str| line.split_whitespace().nth(3)?.split('/').next().map(str::to_owned);
    text.lines().filter_map(address).collect()
}
