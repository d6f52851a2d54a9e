//! Packets of every shape: which of them are read as TCP to a frontend, or as an error about it, and which pass by.
//!
//! With a frontend that refuses everything, "read" shows as the mark of a refusal. All of `bpf/src/packet.rs` is here.

use axoneme_bpf_common::{Failure, Reason, State};

use crate::{
    FOREIGN_BIT,
    bench::{Bench, INGRESS, REFUSE, TAKEN},
    families,
    packet::{ACK, ETHERNET, FIN, RST, SYN, TCP, UDP, tagged},
};

/// Length of a TCP header as far as the programs read it.
const TCP_READ: usize = 14;

fn is_read(bench: &mut Bench, program: &str, packet: &[u8], yes: bool) {
    let counted: &[Reason] = if yes { &[Reason::Refused] } else { &[] };
    let after = if yes { FOREIGN_BIT | REFUSE } else { FOREIGN_BIT };
    bench.expect(program, packet, FOREIGN_BIT, after, counted);
}

#[test]
fn a_packet_that_is_cut_short_anywhere_passes() {
    families(|bench| {
        bench.frontend(State::On, Failure::RefuseAll);
        let (whole, ip) = (bench.packets().tcp(SYN), if bench.packets().client.is_ipv4() { 20 } else { 40 });
        let enough = ETHERNET + ip + TCP_READ;
        // What is shorter than an IP header, the kernel does not hand to a program in this way.
        for program in INGRESS {
            for length in ETHERNET + ip..=whole.len() {
                is_read(bench, program, &whole[..length], length >= enough);
            }
        }
    });
}

#[test]
fn headers_of_every_length_and_kind() {
    families(|bench| {
        bench.frontend(State::On, Failure::RefuseAll);
        let p = bench.packets();
        for program in INGRESS {
            is_read(bench, program, &p.of_protocol(TCP), true);
            // UDP, SCTP, UDP-Lite, ESP, GRE: the same bytes are no TCP ports.
            for protocol in [UDP, 132, 136, 50, 47] {
                is_read(bench, program, &p.of_protocol(protocol), false);
            }
            // A tag that is still in the frame belongs to a device over this one.
            let once = tagged(&p.tcp(SYN));
            is_read(bench, program, &once, false);
            is_read(bench, program, &tagged(&once), false);
            // ARP, and a type that nobody has.
            for kind in [0x0806_u16, 0xffff] {
                let mut frame = p.tcp(SYN);
                frame[12..ETHERNET].copy_from_slice(&kind.to_be_bytes());
                is_read(bench, program, &frame, false);
            }
            if p.client.is_ipv4() {
                for words in 5..=15 {
                    is_read(bench, program, &p.header_of_words(words), true);
                }
                // Shorter than a header can be: the ports would be bytes of something else.
                for words in 0..5 {
                    is_read(bench, program, &p.header_of_words(words), false);
                }
                is_read(bench, program, &p.first_fragment(), true);
            } else {
                // Hop-by-hop, routing, fragment, authentication, none, destination options, mobility, shim.
                for kind in [0, 43, 44, 51, 59, 60, 135, 140] {
                    is_read(bench, program, &p.behind_extension(kind), false);
                }
            }
        }
    });
}

#[test]
fn of_all_flags_only_syn_without_ack_begins_a_connection() {
    const REST: [u8; 3] = [0x08, 0x40, 0x80];
    families(|bench| {
        bench.frontend(State::On, Failure::Refuse);
        let p = bench.packets();
        for program in INGRESS {
            for more in [0, FIN, RST, FIN | RST, REST[0] | REST[1] | REST[2]] {
                bench.expect(program, &p.tcp(SYN | more), 0, REFUSE, &[Reason::Refused]);
                for later in [ACK, SYN | ACK, 0] {
                    bench.expect(program, &p.tcp(later | more), 0, 0, &[Reason::Foreign]);
                }
            }
        }
    });
}

#[test]
fn of_all_icmp_only_errors_about_a_connection_follow_it() {
    families(|bench| {
        let connection = bench.connection();
        let mine = bench.packets().with_client_port(connection.client_port());
        bench.frontend(State::On, Failure::RefuseAll);
        let is_v4 = mine.client.is_ipv4();
        let (errors, known): (&[u8], u8) = if is_v4 { (&[3, 11, 12], 18) } else { (&[1, 2, 3, 4], 161) };
        let about = mine.answer(TCP, false);
        for program in INGRESS {
            for kind in 0..=known {
                let after = if errors.contains(&kind) { TAKEN } else { 0 };
                bench.expect(program, &mine.icmp(kind, &about), 0, after, &[]);
            }
            for kind in errors {
                let mut passes = |about: &[u8]| bench.expect(program, &mine.icmp(*kind, about), 0, 0, &[]);
                passes(&mine.answer(UDP, false));
                // What the client sent is not what the service sent.
                passes(&mine.question());
                // Cut short: of the packet in it, the ports are the last that is needed.
                let ports = about.len() - 20 + 4;
                (0..ports).for_each(|length| passes(&about[..length]));
                if is_v4 {
                    let mut later = about.clone();
                    later[7] = 1;
                    passes(&later);
                } else {
                    let mut extended = about.clone();
                    extended[6] = 60;
                    passes(&extended);
                }
                bench.expect(program, &mine.icmp(*kind, &about[..ports]), 0, TAKEN, &[]);
                bench.expect(program, &mine.icmp(*kind, &mine.answer(TCP, true)), 0, TAKEN, &[]);
            }
        }
    });
}

#[test]
fn before_a_loader_has_said_anything_nothing_is_touched() {
    families(|bench| {
        bench.frontend(State::On, Failure::RefuseAll);
        bench.without_settings();
        let p = bench.packets();
        for program in INGRESS {
            for before in [0, FOREIGN_BIT, TAKEN] {
                bench.expect(program, &p.tcp(SYN), before, before, &[]);
                bench.expect(program, &p.tcp(ACK), before, before, &[]);
            }
        }
    });
}
