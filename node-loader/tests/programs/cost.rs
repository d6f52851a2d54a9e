//! What each way through a program takes, with everything it needs in the processor's caches: run by the kernel a few thousand
//! times in a row, and the quickest of many rows. Differences between lines are the price of what one has and the other not; the
//! first line is that of hardly any program. Beside it is what the kernel's own statistics say of the same runs; and what they say
//! of single runs, each after much else has been in the caches, as on a node whose packets come one by one.

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
/// What is walked through before a single run, in bytes: more than a processor's own caches hold.
const ELSE: usize = 8 << 20;
const LINE: usize = 64;

/// Names another object to measure, to compare two.
const VARIABLE: &str = "AXONEME_BPF_OBJECT";

#[test]
#[ignore = "prints, and asserts nothing about time: cargo test -p axoneme-node --test programs cost -- --ignored --nocapture"]
fn cost_of_each_branch() {
    let other = env::var_os(VARIABLE).map(|file| fs::read(file).unwrap());
    let object = other.as_deref().unwrap_or(OBJECT);
    let [v4, v6] = [false, true].map(|v6| costs(object, v6));
    println!("\n{:<44} {:>24} {:>24}", "nanoseconds of one run", "IPv4  counted     cold", "IPv6  counted     cold");
    for ((what, v4), (_, v6)) in v4.iter().zip(&v6) {
        let [a, b, c] = v4.map(|time| time.as_nanos());
        let [d, e, f] = v6.map(|time| time.as_nanos());
        println!("{what:<44} {a:>6} {b:>8} {c:>8} {d:>6} {e:>8} {f:>8}");
    }
}

/// Each way with its time, its time by statistics, and that of a single run.
fn costs(object: &[u8], v6: bool) -> Vec<(&'static str, [Duration; 3])> {
    let bench = &mut Bench::of(object, v6);
    let (p, [program, _]) = (bench.packets(), INGRESS);
    bench.frontend(State::On, Failure::Bypass);
    let mut arp = p.tcp(ACK);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let (around, syn, to_others) = (p.tcp(ACK), p.tcp(SYN), p.to_port(81).tcp(ACK));
    let mut costs = vec![
        ("from_host: a look at the mark", time(bench, "from_host", &around)),
        ("no IP", time(bench, program, &arp)),
        ("UDP", time(bench, program, &p.udp())),
        ("TCP to no frontend", time(bench, program, &to_others)),
    ];
    bench.keep(true);
    costs.push(("the same, where addresses are kept", time(bench, program, &to_others)));
    bench.keep(false);
    let connection = bench.connection();
    let mine = p.with_client_port(connection.client_port());
    costs.push(("packet of an open connection", time(bench, program, &mine.tcp(ACK))));
    costs.push(("SYN that meets an older connection", time(bench, program, &mine.tcp(SYN))));
    drop(connection);
    costs.push(("packet of a connection that is not Envoy's", time(bench, program, &around)));
    costs.push(("SYN that nobody listens for: around", time(bench, program, &syn)));
    let _listener = bench.listener();
    costs.push(("SYN to a listener", time(bench, program, &syn)));
    costs
}

fn time(bench: &mut Bench, program: &str, packet: &[u8]) -> [Duration; 3] {
    let quickest = (0..ROWS).map(|_| bench.time(program, packet, RUNS)).min().unwrap();
    let _counting = enable_stats(Stats::RunTime).unwrap();
    let mut counted = |runs, before: &mut dyn FnMut()| {
        let mut row = || {
            before();
            let start = bench.counted_time(program);
            bench.time(program, packet, runs);
            (bench.counted_time(program) - start) / runs
        };
        let mut rows: Vec<_> = (0..ROWS).map(|_| row()).collect();
        rows.sort_unstable();
        rows
    };
    let mut memory = vec![0_u8; ELSE];
    let warm = counted(RUNS, &mut || {})[0];
    let cold = counted(1, &mut || memory.iter_mut().step_by(LINE).for_each(|line| *line = line.wrapping_add(1)));
    [quickest, warm, cold[ROWS / 2]]
}
