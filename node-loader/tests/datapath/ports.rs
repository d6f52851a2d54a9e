//! Which ports the proxy can listen on, as the kernel has it: whose sockets are in the way, and whose are not.

use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
};

use axoneme_node::ports::{PortRange, at_risk, is_free};
use axoneme_testnet::{Lab, Namespace};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt::Ipv6V6Only,
};

/// A port that nobody in a new network has.
const PORT: u16 = 10_005;

fn host(lab: &mut Lab) -> Namespace {
    lab.client("host").unwrap()
}

#[test]
fn sockets_that_listen_on_the_proxys_addresses_are_in_the_way_and_no_others() {
    let mut lab = Lab::new("in-the-way").unwrap();
    let host = host(&mut lab);
    let own = host.address.v4;
    host.enter(|| {
        // Whether both families are wanted, and whether IPv4 alone is.
        for (address, both, v4) in [
            ("127.0.0.1".to_owned(), false, false),
            ("0.0.0.0".to_owned(), false, false),
            ("::".to_owned(), false, false),
            ("::1".to_owned(), false, true),
            ("127.0.0.2".to_owned(), true, true),
            (own.to_string(), true, true),
        ] {
            let listener = TcpListener::bind((address.as_str(), PORT)).unwrap();
            assert_eq!((is_free(PORT, true), is_free(PORT, false)), (both, v4), "{address}");
            drop(listener);
            assert!(is_free(PORT, true), "after {address}");
        }
        let only_v6 = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&only_v6, Ipv6V6Only, &true).unwrap();
        let all: SocketAddr = format!("[::]:{PORT}").parse().unwrap();
        bind(only_v6.as_raw_fd(), &SockaddrStorage::from(all)).unwrap();
        listen(&only_v6, Backlog::new(1).unwrap()).unwrap();
        assert_eq!((is_free(PORT, true), is_free(PORT, false)), (false, true));
        drop(only_v6);
        let _udp = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        assert!(is_free(PORT, true));
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
            assert_eq!(is_free(port, true), free, "{client:?}");
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
