//! What each way through a program takes, with everything it needs in the processor's caches: run by the kernel a few thousand
//! times in a row, and the quickest of many rows. Differences between lines are the price of what one has and the other not; the
//! first line is that of hardly any program. Beside it is what the kernel's own statistics say of the same runs.

use std::{env, fs, time::Duration};

use axoneme_bpf_common::{Failure, State};
use aya::sys::{Stats, enable_stats};

use crate::{
    bench::{Bench, INGRESS, OBJECT},
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
    let [v4, v6] = [false, true].map(|v6| costs(object, v6));
    println!("\n{:<44} {:>15} {:>15}", "nanoseconds of one run", "IPv4  counted", "IPv6  counted");
    for ((what, v4), (_, v6)) in v4.iter().zip(&v6) {
        let [v4, counted_v4, v6, counted_v6] = [v4.0, v4.1, v6.0, v6.1].map(|time| time.as_nanos());
        println!("{what:<44} {v4:>6} {counted_v4:>8} {v6:>6} {counted_v6:>8}");
    }
}

/// Each way with its time, and with its time by statistics.
fn costs(object: &[u8], v6: bool) -> Vec<(&'static str, (Duration, Duration))> {
    let bench = &mut Bench::of(object, v6);
    let (p, [program, _]) = (bench.packets(), INGRESS);
    bench.frontend(State::On, Failure::Bypass);
    let mut arp = p.tcp(ACK);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let (around, syn, to_others) = (p.tcp(ACK), p.tcp(SYN), p.to_port(81).tcp(ACK));
    let mut costs = vec![
        ("from_host: a look at the mark", quickest(bench, "from_host", &around)),
        ("no IP", quickest(bench, program, &arp)),
        ("UDP", quickest(bench, program, &p.udp())),
        ("TCP to no frontend", quickest(bench, program, &to_others)),
    ];
    bench.keep(true);
    costs.push(("the same, where addresses are kept", quickest(bench, program, &to_others)));
    bench.keep(false);
    let connection = bench.connection();
    let mine = p.with_client_port(connection.client_port());
    costs.push(("packet of an open connection", quickest(bench, program, &mine.tcp(ACK))));
    costs.push(("SYN that meets an older connection", quickest(bench, program, &mine.tcp(SYN))));
    drop(connection);
    costs.push(("packet of a connection that is not Envoy's", quickest(bench, program, &around)));
    costs.push(("SYN that nobody listens for: around", quickest(bench, program, &syn)));
    let _listener = bench.listener();
    costs.push(("SYN to a listener", quickest(bench, program, &syn)));
    costs
}

fn quickest(bench: &mut Bench, program: &str, packet: &[u8]) -> (Duration, Duration) {
    let time = (0..ROWS).map(|_| bench.time(program, packet, RUNS)).min().unwrap();
    let _counting = enable_stats(Stats::RunTime).unwrap();
    let counted = (0..ROWS).map(|_| {
        let before = bench.counted_time(program);
        bench.time(program, packet, RUNS);
        (bench.counted_time(program) - before) / RUNS
    });
    (time, counted.min().unwrap())
}
