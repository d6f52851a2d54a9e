//! What each way through a program takes, with everything it needs in the processor's caches: run by the kernel a few thousand
//! times in a row, and the quickest of many rows. Differences between lines are the price of what one has and the other not.

use std::{env, fs, time::Duration};

use axoneme_bpf_common::{Failure, State};
use nix::unistd::gettid;

use crate::{
    bench::{Bench, Connection, INGRESS, OBJECT},
    packet::{ACK, SYN},
};

/// In one row. It has to fit into a time slice, of which something is left.
const RUNS: u32 = 2_000;
const ROWS: usize = 400;

/// Names another object to measure, to compare two.
const VARIABLE: &str = "AXONEME_BPF_OBJECT";

#[test]
#[ignore = "prints, and asserts nothing about time: cargo test -p axoneme-node --test programs cost -- --ignored --nocapture"]
fn cost_of_each_branch() {
    let other = env::var_os(VARIABLE).map(|file| fs::read(file).unwrap());
    let object = other.as_deref().unwrap_or(OBJECT);
    println!("\nnanoseconds of one run of {}, thread {}", INGRESS[0], gettid());
    let [v4, v6] = [false, true].map(|v6| costs(object, v6));
    println!("{:<44} {:>6} {:>6}", "", "IPv4", "IPv6");
    for ((what, v4), (_, v6)) in v4.iter().zip(&v6) {
        println!("{what:<44} {:>6} {:>6}", v4.as_nanos(), v6.as_nanos());
    }
}

fn costs(object: &[u8], v6: bool) -> Vec<(&'static str, Duration)> {
    let mut bench = Bench::of(object, v6);
    let p = bench.packets();
    let mut costs = Vec::new();
    bench.frontend(State::On, Failure::Bypass);
    let mut add = |bench: &mut Bench, what, packet: &[u8]| costs.push((what, quickest(bench, packet)));
    let mut arp = p.tcp(ACK);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    add(&mut bench, "no IP", &arp);
    add(&mut bench, "UDP", &p.udp());
    add(&mut bench, "TCP to no frontend", &p.to_port(81).tcp(ACK));
    bench.keep(true);
    add(&mut bench, "the same, where addresses are kept", &p.to_port(81).tcp(ACK));
    bench.keep(false);
    add(&mut bench, "SYN that nobody listens for: around", &p.tcp(SYN));
    add(&mut bench, "packet of a connection that is not Envoy's", &p.tcp(ACK));
    let listener = bench.listener();
    add(&mut bench, "SYN to a listener", &p.tcp(SYN));
    drop(listener);
    let connection: Connection = bench.connection();
    let mine = p.with_client_port(connection.client_port());
    add(&mut bench, "packet of an open connection", &mine.tcp(ACK));
    add(&mut bench, "SYN that meets an older connection", &mine.tcp(SYN));
    costs
}

fn quickest(bench: &mut Bench, packet: &[u8]) -> Duration {
    (0..ROWS).map(|_| bench.time(INGRESS[0], packet, RUNS)).min().unwrap()
}
