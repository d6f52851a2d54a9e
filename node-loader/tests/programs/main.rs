//! Every program and every branch of it, packet by packet, run by the kernel without a device (`BPF_PROG_TEST_RUN`).
//!
//! Needs root. Each test is a network namespace of its own. The kernel gives a packet to a socket only at a real ingress, so
//! what would be taken counts as `unassigned` here; the tests of the datapath see it taken.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bench;
mod cost;
mod kept;
mod odd;
mod packet;
mod states;
mod verified;

use std::time::Duration;

use axoneme_bpf_common::{Failure, Reason, State};
use bench::{Bench, HOST, INGRESS, REFUSE, SERVICE, TAKEN, bytes};
use packet::{ACK, SYN};

/// A bit of somebody else's, which must be left alone.
const FOREIGN_BIT: u32 = 0x4000;

/// Runs `work` for IPv4 and IPv6.
fn families(work: impl Fn(&mut Bench)) {
    for v6 in [false, true] {
        work(&mut Bench::new(v6));
    }
}

#[test]
fn what_nobody_dials_passes() {
    families(|bench| {
        bench.frontend(State::On, Failure::RefuseAll);
        let p = bench.packets();
        for program in INGRESS {
            bench.expect(program, &p.to_port(81).tcp(SYN), FOREIGN_BIT, FOREIGN_BIT, &[]);
            bench.expect(program, &p.udp(), 0, 0, &[]);
            bench.expect(program, &p.later_fragment(), 0, 0, &[]);
            bench.expect(program, &p.echo_request(), 0, 0, &[]);
        }
    });
}

#[test]
fn without_a_listener_a_syn_goes_around_or_is_refused() {
    families(|bench| {
        let p = bench.packets();
        for program in INGRESS {
            bench.frontend(State::On, Failure::Bypass);
            bench.expect(program, &p.tcp(SYN), FOREIGN_BIT, FOREIGN_BIT, &[Reason::Bypassed]);
            for failure in [Failure::Refuse, Failure::RefuseAll] {
                bench.frontend(State::On, failure);
                bench.expect(program, &p.tcp(SYN), FOREIGN_BIT, FOREIGN_BIT | REFUSE, &[Reason::Refused]);
            }
        }
    });
}

#[test]
fn with_a_listener_a_syn_is_assigned() {
    families(|bench| {
        let _listener = bench.listener();
        bench.frontend(State::On, Failure::Bypass);
        let p = bench.packets();
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Bypassed, Reason::Unassigned]);
            bench.expect(program, &p.with_ip_options().tcp(SYN), 0, 0, &[Reason::Bypassed, Reason::Unassigned]);
        }
    });
}

#[test]
fn a_draining_frontend_takes_no_new_connection() {
    families(|bench| {
        let _listener = bench.listener();
        let p = bench.packets();
        for program in INGRESS {
            for failure in [Failure::Bypass, Failure::Refuse] {
                bench.frontend(State::Draining, failure);
                bench.expect(program, &p.tcp(SYN), 0, 0, &[Reason::Drained]);
                bench.expect(program, &p.tcp(ACK), 0, 0, &[Reason::Foreign]);
            }
            bench.frontend(State::Draining, Failure::RefuseAll);
            bench.expect(program, &p.tcp(SYN), 0, REFUSE, &[Reason::Refused]);
        }
    });
}

#[test]
fn only_listed_sources_may_connect_from_outside() {
    families(|bench| {
        let p = bench.packets();
        let [container, netdev] = INGRESS;
        let (own, other) = if p.client.is_ipv4() { (4, 6) } else { (6, 4) };
        let (client, all) = (bytes(p.client), [0; 16]);
        bench.listed_frontend(State::On, Failure::Bypass);
        // Nobody is listed; then another service's clients, another family's, and a neighbour.
        let mut neighbour = client;
        neighbour[15] ^= 1;
        bench.expect(netdev, &p.tcp(SYN), FOREIGN_BIT, FOREIGN_BIT | REFUSE, &[Reason::SourceRange]);
        for (service, family, address, bits) in
            [(SERVICE + 1, own, client, 128), (SERVICE, other, all, 0), (SERVICE, own, neighbour, 128)]
        {
            bench.list(service, family, address, bits, true);
            bench.expect(netdev, &p.tcp(SYN), 0, REFUSE, &[Reason::SourceRange]);
        }
        bench.expect(container, &p.tcp(SYN), 0, 0, &[Reason::Bypassed]);
        // What the port of a bridge has refused, the bridge does not take.
        bench.expect(container, &p.tcp(SYN), REFUSE, REFUSE, &[]);
        // A pod's packet that its own device has taken before this one.
        bench.expect(netdev, &p.tcp(SYN), TAKEN, TAKEN, &[]);
        for bits in [128, 127, 96] {
            bench.list(SERVICE, own, client, bits, true);
            bench.expect(netdev, &p.tcp(SYN), 0, 0, &[Reason::Bypassed]);
            bench.list(SERVICE, own, client, bits, false);
            bench.expect(netdev, &p.tcp(SYN), 0, REFUSE, &[Reason::SourceRange]);
        }
        // Draining, it is none of ours.
        bench.listed_frontend(State::Draining, Failure::Bypass);
        bench.expect(netdev, &p.tcp(SYN), 0, 0, &[Reason::Drained]);
    });
}

#[test]
fn who_is_not_listed_any_more_keeps_his_connections() {
    families(|bench| {
        let connection = bench.connection();
        let mine = bench.packets().with_client_port(connection.client_port());
        bench.listed_frontend(State::On, Failure::Bypass);
        for program in INGRESS {
            bench.expect(program, &mine.tcp(ACK), 0, TAKEN, &[]);
        }
        bench.expect(INGRESS[1], &mine.tcp(SYN), 0, REFUSE, &[Reason::SourceRange]);
    });
}

#[test]
fn who_watches_is_told_at_a_pace_and_the_rest_is_counted() {
    let second = Duration::from_secs(1);
    families(|bench| {
        let p = bench.packets();
        bench.frontend(State::On, Failure::Refuse);
        let refuse = |bench: &mut Bench, times| {
            (0..times).for_each(|_| bench.expect(INGRESS[1], &p.tcp(SYN), 0, REFUSE, &[Reason::Refused]));
            let (events, lost) = bench.told();
            // The time stands first.
            events.iter().for_each(|event| assert_eq!(event[8..], bench.event(Reason::Refused)));
            (events.len(), lost)
        };
        assert_eq!(refuse(bench, 2), (0, 0), "nobody watches");
        bench.watch(3600 * second, Duration::ZERO);
        assert_eq!(refuse(bench, 3), (1, 2));
        bench.watch(20 * second, 60 * second);
        assert_eq!(refuse(bench, 6), (4, 2), "three from the burst, one now");
        bench.watch(Duration::ZERO, Duration::ZERO);
        assert_eq!(refuse(bench, 2), (0, 0), "nobody watches any more");
    });
}

#[test]
fn what_nobody_reads_in_time_is_counted_as_lost() {
    const TIMES: usize = 5000;
    let mut bench = Bench::new(false);
    bench.frontend(State::On, Failure::Refuse);
    bench.watch(Duration::from_nanos(1), Duration::ZERO);
    let packet = bench.packets().tcp(SYN);
    (0..TIMES).for_each(|_| bench.expect(INGRESS[1], &packet, 0, REFUSE, &[Reason::Refused]));
    let (events, lost) = bench.told();
    assert!(lost > 0, "{} events fit", events.len());
    assert_eq!(events.len() as u64 + lost, TIMES as u64);
    bench.expect(INGRESS[1], &packet, 0, REFUSE, &[Reason::Refused]);
    assert_eq!(bench.told().0.len(), 1, "who reads again is told again");
}

#[test]
fn later_packets_follow_their_socket() {
    families(|bench| {
        let connection = bench.connection();
        let mine = bench.packets().with_client_port(connection.client_port());
        for program in INGRESS {
            for state in [State::On, State::Draining] {
                bench.frontend(state, Failure::Refuse);
                bench.expect(program, &mine.tcp(ACK), FOREIGN_BIT, FOREIGN_BIT | TAKEN, &[]);
                bench.expect(program, &bench.packets().tcp(ACK), 0, 0, &[Reason::Foreign]);
            }
            bench.frontend(State::On, Failure::RefuseAll);
            bench.expect(program, &bench.packets().tcp(ACK), 0, REFUSE, &[Reason::Refused]);
            bench.expect(program, &mine.tcp(SYN), 0, TAKEN, &[Reason::Reused]);
            // The same packet at the bridge, after its port.
            bench.expect(program, &mine.tcp(SYN), TAKEN, TAKEN, &[]);
        }
    });
}

#[test]
fn errors_about_a_taken_connection_follow_it() {
    families(|bench| {
        let connection = bench.connection();
        let p = bench.packets();
        let mine = p.with_client_port(connection.client_port());
        for program in INGRESS {
            bench.expect(program, &mine.icmp_error(), 0, 0, &[]);
            bench.frontend(State::Draining, Failure::Bypass);
            bench.expect(program, &mine.icmp_error(), FOREIGN_BIT, FOREIGN_BIT | TAKEN, &[]);
            bench.expect(program, &p.icmp_error(), 0, 0, &[]);
            bench.no_frontend();
        }
    });
}

#[test]
fn marked_host_sockets_meet_the_proxy_or_a_reset() {
    families(|bench| {
        let p = bench.packets();
        let program = "from_host";
        bench.expect(program, &p.tcp(ACK), HOST, REFUSE, &[]);
        bench.frontend(State::On, Failure::Bypass);
        bench.expect(program, &p.tcp(SYN), FOREIGN_BIT, FOREIGN_BIT, &[]);
        bench.expect(program, &p.tcp(SYN), HOST, REFUSE, &[Reason::Refused]);
        let _listener = bench.listener();
        bench.expect(program, &p.tcp(SYN), HOST, REFUSE, &[Reason::Refused, Reason::Unassigned]);
        let connection = bench.connection();
        let mine = p.with_client_port(connection.client_port());
        bench.expect(program, &mine.tcp(ACK), HOST, HOST, &[]);
        bench.expect(program, &mine.tcp(SYN), HOST, HOST, &[Reason::Reused]);
        bench.expect(program, &p.udp(), HOST, HOST, &[]);
    });
}
