//! Which ports the proxy can listen on, as the kernel has it: whose sockets are in the way, and whose are not.

use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
};

use axoneme_node::ports::{PortRange, at_risk, is_free};
use axoneme_testnet::{Lab, Namespace, wait_until};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt::Ipv6V6Only,
};

use crate::SOON;

/// Nobody in a new network has it, nor those above. Each case has one of its own.
const PORT: u16 = 10_005;

fn host(lab: &mut Lab) -> Namespace {
    lab.client("host").unwrap()
}

/// Whether the port is free. Of a socket that was closed a process may still have a copy, which another test was just starting.
fn becomes(free: bool, port: u16, ipv6: bool) -> bool {
    if free { wait_until("the port", SOON, || Ok(is_free(port, ipv6))).is_ok() } else { is_free(port, ipv6) }
}

#[test]
fn sockets_that_listen_on_the_proxys_addresses_are_in_the_way_and_no_others() {
    let mut lab = Lab::new("in-the-way").unwrap();
    let host = host(&mut lab);
    let own = host.address.v4;
    host.enter(|| {
        // Whether both families are wanted, and whether IPv4 alone is.
        let cases = [
            ("127.0.0.1".to_owned(), false, false),
            ("0.0.0.0".to_owned(), false, false),
            ("::".to_owned(), false, false),
            ("::1".to_owned(), false, true),
            ("127.0.0.2".to_owned(), true, true),
            (own.to_string(), true, true),
        ];
        for (port, (address, both, v4)) in (PORT + 1..).zip(cases) {
            let listener = TcpListener::bind((address.as_str(), port)).unwrap();
            assert_eq!((becomes(both, port, true), becomes(v4, port, false)), (both, v4), "{address}");
            drop(listener);
            assert!(becomes(true, port, true), "after {address}");
        }
        let only_v6 = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&only_v6, Ipv6V6Only, &true).unwrap();
        let all: SocketAddr = format!("[::]:{PORT}").parse().unwrap();
        bind(only_v6.as_raw_fd(), &SockaddrStorage::from(all)).unwrap();
        listen(&only_v6, Backlog::new(1).unwrap()).unwrap();
        assert_eq!((becomes(false, PORT, true), becomes(true, PORT, false)), (false, true));
        drop(only_v6);
        let _udp = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        assert!(becomes(true, PORT, true));
    })
    .unwrap();
}

#[test]
fn outgoing_connections_are_in_the_way_on_the_loopback_address_only() {
    let mut lab = Lab::new("outgoing").unwrap();
    let host = host(&mut lab);
    host.set("ipv4.ip_local_port_range", "10000 10010").unwrap();
    let own = host.address.v4;
    host.enter(|| {
        for (address, free) in [("127.0.0.1".to_owned(), false), (own.to_string(), true)] {
            let server = TcpListener::bind((address.as_str(), 80)).unwrap();
            let client = TcpStream::connect((address.as_str(), 80)).unwrap();
            let port = client.local_addr().unwrap().port();
            let there = wait_until("the port", SOON, || Ok(is_free(port, true) == free));
            assert!(there.is_ok(), "{client:?}");
            drop((server, client));
        }
        let (count, note) = at_risk(PortRange::DEFAULT).unwrap();
        assert_eq!(count, 11);
        assert!(note.contains("ip_local_reserved_ports"), "{note}");
    })
    .unwrap();
    // As the note says.
    host.set("ipv4.ip_local_reserved_ports", "10000-20000").unwrap();
    host.enter(|| assert_eq!(at_risk(PortRange::DEFAULT), None)).unwrap();
}
