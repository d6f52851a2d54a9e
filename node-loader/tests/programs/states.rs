//! Sockets of every state that a packet's tuple can meet: all but a listener are the connection that the packet belongs to.

use std::{
    fs,
    io::Read as _,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use axoneme_bpf_common::{Failure, Reason, State};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind, connect, getsockname, socket,
    },
};

use crate::{
    bench::{INGRESS, TAKEN},
    families,
    packet::{ACK, FIN, SYN},
};

/// States as `/proc/net/tcp` writes them.
const TIME_WAIT: &str = "06";
const SYN_RECEIVED: &str = "03";
const CLOSE_WAIT: &str = "08";

/// Waits until there is a socket with this port on the other side that is in a state.
fn wait_for(peer: u16, state: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[2].ends_with(&format!(":{peer:04X}")) && words[3] == state
    };
    let there = || {
        ["tcp", "tcp6"]
            .iter()
            .any(|file| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap().lines().any(is_it))
    };
    while !there() {
        assert!(Instant::now() < end, "no socket with the peer's port {peer} came to state {state}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn edge_26_time_wait_is_met_by_marking_and_not_by_the_listener() {
    families(|bench| {
        let _proxy = bench.listener();
        let mut connection = bench.connection();
        let port = connection.client_port();
        // The service's side closes first.
        connection.server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(connection.client.read(&mut [0]).unwrap(), 0);
        drop(connection);
        wait_for(port, TIME_WAIT);
        let mine = bench.packets().with_client_port(port);
        for program in INGRESS {
            bench.frontend(State::On, Failure::RefuseAll);
            bench.expect(program, &mine.tcp(SYN), 0, TAKEN, &[Reason::Reused]);
            bench.expect(program, &mine.tcp(FIN | ACK), 0, TAKEN, &[]);
            bench.frontend(State::Draining, Failure::Bypass);
            bench.expect(program, &mine.tcp(FIN | ACK), 0, TAKEN, &[]);
        }
    });
}

#[test]
fn a_connection_that_the_client_has_closed_goes_on() {
    families(|bench| {
        let connection = bench.connection();
        connection.client.shutdown(Shutdown::Write).unwrap();
        wait_for(connection.client_port(), CLOSE_WAIT);
        let mine = bench.packets().with_client_port(connection.client_port());
        bench.frontend(State::On, Failure::RefuseAll);
        for program in INGRESS {
            bench.expect(program, &mine.tcp(FIN | ACK), 0, TAKEN, &[]);
        }
    });
}

#[test]
fn a_handshake_that_is_under_way_is_a_connection_and_its_syn_no_surprise() {
    families(|bench| {
        let p = bench.packets();
        // Its answer is lost, so the handshake stays where it is.
        let rules = "add table inet lost; add chain inet lost out { type filter hook output priority 0; }; \
                     add rule inet lost out tcp flags & (syn | ack) == (syn | ack) drop";
        assert!(Command::new("nft").arg(rules).status().unwrap().success());
        let _service = TcpListener::bind(p.service).unwrap();
        let (_client, port) = begin(p.client, p.service);
        wait_for(port, SYN_RECEIVED);
        let mine = p.with_client_port(port);
        bench.frontend(State::On, Failure::RefuseAll);
        for program in INGRESS {
            bench.expect(program, &mine.tcp(SYN), 0, TAKEN, &[]);
            bench.expect(program, &mine.tcp(ACK), 0, TAKEN, &[]);
        }
        bench.expect("from_host", &mine.tcp(SYN), crate::HOST, crate::HOST, &[]);
    });
}

#[test]
fn a_listener_of_the_host_on_the_same_port_is_nobodys_connection() {
    families(|bench| {
        let p = bench.packets();
        let any = if p.client.is_ipv4() { "0.0.0.0" } else { "::" };
        let _host = TcpListener::bind((any, p.service.port())).unwrap();
        bench.frontend(State::On, Failure::Bypass);
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Bypassed]);
            bench.expect(program, &p.tcp(ACK), 0, 0, &[Reason::Foreign]);
        }
    });
}

#[test]
fn the_proxy_is_who_listens_on_the_loopback_of_the_packets_own_family() {
    families(|bench| {
        let (own, other) = if bench.packets().client.is_ipv4() { ("127.0.0.1", "::1") } else { ("::1", "127.0.0.1") };
        let p = bench.packets();
        bench.frontend(State::On, Failure::Bypass);
        let at = |address: &str| TcpListener::bind((address, 10_000)).unwrap();
        let wrong = at(other);
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Bypassed]);
        }
        drop(wrong);
        let elsewhere = TcpListener::bind((p.client, 10_000)).unwrap();
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Bypassed]);
        }
        drop(elsewhere);
        let _right = at(own);
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Bypassed, Reason::Unassigned]);
            // An ACK that answers no cookie of this listener.
            bench.expect(program, &p.tcp(ACK), 0, 0, &[Reason::Foreign]);
        }
    });
}

/// A client that has sent its SYN and does not wait. With its port.
fn begin(from: IpAddr, to: SocketAddr) -> (OwnedFd, u16) {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0))).unwrap();
    assert_eq!(connect(fd.as_raw_fd(), &SockaddrStorage::from(to)), Err(Errno::EINPROGRESS));
    let port = match to {
        SocketAddr::V4(_) => getsockname::<SockaddrIn>(fd.as_raw_fd()).unwrap().port(),
        SocketAddr::V6(_) => getsockname::<SockaddrIn6>(fd.as_raw_fd()).unwrap().port(),
    };
    (fd, port)
}
