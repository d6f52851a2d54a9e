//! Replies to upstream connections that keep their client's address.

use std::net::Shutdown;

use axoneme_bpf_common::{Failure, Near, State};
use nix::sys::socket::{setsockopt, sockopt::Mark};

use crate::{
    FOREIGN_BIT,
    bench::{INGRESS, KEPT, TAKEN},
    families,
    packet::{ACK, SYN},
};

#[test]
fn replies_are_taken_where_the_socket_says_so_and_somebody_keeps() {
    families(|bench| {
        let connection = bench.connection();
        let p = bench.packets();
        let mine = p.with_client_port(connection.client_port()).reply();
        for program in INGRESS {
            // The node's own connection, and then one with the mark of others.
            bench.keep(true);
            setsockopt(&connection.client, Mark, &0xc00).unwrap();
            bench.expect(program, &mine.tcp(ACK), FOREIGN_BIT, FOREIGN_BIT, &[]);
            setsockopt(&connection.client, Mark, &(FOREIGN_BIT | KEPT)).unwrap();
            bench.expect(program, &mine.tcp(ACK), FOREIGN_BIT, FOREIGN_BIT | TAKEN, &[]);
            bench.expect(program, &mine.icmp_error(), 0, TAKEN, &[]);
            // At the bridge, after its port.
            bench.expect(program, &mine.tcp(ACK), TAKEN, TAKEN, &[]);
            // The client's own connection to the same backend.
            bench.expect(program, &p.reply().tcp(ACK), 0, 0, &[]);
            bench.expect(program, &p.reply().icmp_error(), 0, 0, &[]);
            bench.keep(false);
            bench.expect(program, &mine.tcp(ACK), 0, 0, &[]);
            bench.expect(program, &mine.icmp_error(), 0, 0, &[]);
        }
    });
}

#[test]
fn a_listener_of_the_host_is_nobodys_upstream_connection() {
    families(|bench| {
        bench.keep(true);
        let p = bench.packets();
        let listener = std::net::TcpListener::bind(p.service).unwrap();
        setsockopt(&listener, Mark, &KEPT).unwrap();
        for program in INGRESS {
            bench.expect(program, &p.tcp(SYN), 0, 0, &[]);
            bench.expect(program, &p.tcp(ACK), 0, 0, &[]);
        }
    });
}

#[test]
fn what_is_left_of_a_connection_is_taken_unless_the_address_is_the_nodes_own() {
    families(|bench| {
        bench.keep(true);
        let connection = bench.connection();
        setsockopt(&connection.client, Mark, &KEPT).unwrap();
        let p = bench.packets();
        let mine = p.with_client_port(connection.client_port()).reply();
        // The client's side closes first, and remembers for a minute.
        connection.client.shutdown(Shutdown::Both).unwrap();
        drop(connection);
        for program in INGRESS {
            bench.expect(program, &mine.tcp(ACK), 0, TAKEN, &[]);
        }
        bench.near(p.client, Near::Own);
        for program in INGRESS {
            bench.expect(program, &mine.tcp(ACK), 0, 0, &[]);
        }
    });
}

#[test]
fn an_address_that_clients_dial_is_looked_at_as_such() {
    families(|bench| {
        bench.keep(true);
        bench.frontend(State::On, Failure::Bypass);
        let connection = bench.connection();
        let mine = bench.packets().with_client_port(connection.client_port());
        for program in INGRESS {
            bench.expect(program, &mine.tcp(ACK), 0, TAKEN, &[]);
        }
    });
}
