//! TCP sockets of the host of every kind, and which of them `connect4` and `connect6` take.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
};

use axoneme_testnet::{Layout, Namespace};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, setsockopt, socket,
    sockopt::{BindToDevice, Mark},
};

use crate::{
    everywhere,
    scene::{PROXY_PORT, Scene},
};

/// An order for the agent, which is a process of the host: dials `words[1]` by a socket of the kind `words[0]`, and answers who
/// greeted, and the socket's mark afterwards.
pub(crate) fn dial(words: &[&str]) -> String {
    let to: SocketAddr = words[1].parse().unwrap();
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    // These two only begin: where their packets go is not what is asked here, and need not be far.
    let flags = if matches!(words[0], "begin" | "device") { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | flags, None).unwrap();
    match words[0] {
        "plain" | "begin" => {}
        "device" => setsockopt(&fd, BindToDevice, &words[2].into()).unwrap(),
        "marked" => setsockopt(&fd, Mark, &words[2].parse().unwrap()).unwrap(),
        other => return format!("what is {other}?"),
    }
    if let Err(errno) = connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        return format!("{errno} {}", getsockopt(&fd, Mark).unwrap());
    }
    let mark = getsockopt(&fd, Mark).unwrap();
    let mut line = String::new();
    BufReader::new(TcpStream::from(fd)).read_line(&mut line).unwrap();
    format!("{} {mark}", line.split(' ').next().unwrap_or_default())
}

/// Those of ours: a socket that is taken, and one of the proxy's upstream connections.
const TAKEN: u32 = 0x600;
const UPSTREAM: u32 = 0xc00;
/// Somebody else's bit.
const FOREIGN: u32 = 0x1000;

#[test]
fn edge_24_of_host_sockets_only_those_of_any_device_are_taken() {
    everywhere("dialler", |scene, frontend| {
        let _proxy = scene.proxy();
        let ask = |scene: &mut Scene, order: &str| scene.agent.ask(&format!("dial {order}"));
        // Before there is a frontend, what says that it is taken is no more.
        assert_eq!(ask(scene, &format!("marked {frontend} {TAKEN}")), "backend 0");
        assert_eq!(ask(scene, &format!("marked {frontend} {}", TAKEN | FOREIGN)), format!("backend {FOREIGN}"));
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        for (order, answer) in [
            (format!("plain {frontend}"), format!("proxy {TAKEN}")),
            (format!("marked {frontend} {FOREIGN}"), format!("proxy {}", TAKEN | FOREIGN)),
            (format!("marked {frontend} {TAKEN}"), format!("proxy {TAKEN}")),
            (format!("marked {frontend} {UPSTREAM}"), format!("backend {UPSTREAM}")),
            (format!("device {frontend} eth0"), "EINPROGRESS: Operation now in progress 0".to_owned()),
        ] {
            assert_eq!(ask(scene, &order), answer, "{order}");
        }
        for (state, answer) in
            [("draining bypass", "backend 0"), ("draining refuse-all", "ECONNREFUSED: Connection refused 0")]
        {
            scene.agent.tell(&format!("set {frontend} {PROXY_PORT} {state} 1"));
            assert_eq!(ask(scene, &format!("plain {frontend}")), answer, "{state}");
        }
        scene.agent.tell(&format!("remove {frontend}"));
        assert_eq!(ask(scene, &format!("plain {frontend}")), "backend 0");
    });
}

/// The greeting for a process of the host's network in a control group that it takes for the root, as a container has it whose pod
/// has `hostNetwork`.
fn greeting_of_a_container(node: &Namespace, to: SocketAddr) -> String {
    let script = "group=/sys/fs/cgroup/pods/hostnetwork; mkdir -p $group; echo $$ >$group/cgroup.procs
        exec unshare --cgroup --pid --fork bash -c 'exec 3<>/dev/tcp/$0/$1 && head -n 1 <&3' $0 $1";
    node.run("bash", ["-c", script, &to.ip().to_string(), &to.port().to_string()]).unwrap()
}

#[test]
fn edge_24_a_pod_in_the_hosts_network_is_taken_like_a_process_of_the_host() {
    everywhere("hostnetwork", |scene, frontend| {
        let _proxy = scene.proxy();
        assert!(greeting_of_a_container(&scene.node, frontend).starts_with("backend "));
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 1"));
        let greeting = greeting_of_a_container(&scene.node, frontend);
        let [who, peer, local] = greeting.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        assert_eq!((who, local), ("proxy", frontend.to_string().as_str()));
        assert_eq!(peer.ip(), scene.node.address.each()[usize::from(frontend.is_ipv6())]);
        assert!(!scene.is_tracked(peer), "connection tracking saw it");
        scene.agent.tell(&format!("remove {frontend}"));
        assert!(greeting_of_a_container(&scene.node, frontend).starts_with("backend "));
    });
}

#[test]
fn a_node_without_an_address_of_a_family_takes_no_host_socket_of_it() {
    let mut scene = Scene::new("family", Layout::Routed);
    let _proxy = scene.proxy();
    let [v4, v6] = scene.frontends();
    for frontend in [v4, v6] {
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
    }
    assert_eq!(scene.agent.ask(&format!("dial plain {v6}")), format!("proxy {TAKEN}"));
    let own = |scene: &Scene| scene.node.run("ip", ["-6", "-o", "addr", "show", "scope", "global"]).unwrap();
    for line in own(&scene).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        scene.node.ip([format!("addr del {} dev {}", words[3], words[1])]).unwrap();
    }
    let untaken = |scene: &mut Scene| scene.agent.ask(&format!("dial begin {v6}")).ends_with(" 0");
    axoneme_testnet::wait_until("IPv6 sockets are left alone", crate::SOON, || Ok(untaken(&mut scene))).unwrap();
    assert_eq!(scene.agent.ask(&format!("dial plain {v4}")), format!("proxy {TAKEN}"));
}
