//! More than the monitor tells: the programs keep to their pace, and what they do not tell is counted.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use axoneme_testnet::Layout;

use crate::{PROXY_PORT, scene::Scene, talk::PATIENCE};

const ATTEMPTS: u64 = 3000;
/// What each processor may tell: a burst, and so many a second.
const BURST: f64 = 200.0;
const PACE: f64 = 1000.0;

#[test]
fn what_is_told_and_what_is_lost_is_all_that_was_counted() {
    let mut scene = Scene::new("pace", Layout::Routed);
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 1"));
    scene.agent.tell("watch");
    assert_eq!(scene.agent.ask("seen"), "; lost 0", "from now on everything is told");
    let (start, pod) = (Instant::now(), scene.pod.clone());
    let attempt = || TcpStream::connect_timeout(&frontend, PATIENCE).is_err();
    let dial = || pod.enter(|| (0..ATTEMPTS).filter(|_| attempt()).count() as u64).unwrap();
    let (mut told, mut lost, mut counted) = (0, 0, 0);
    thread::scope(|scope| {
        let dialling = scope.spawn(dial);
        loop {
            // In this order: when that is over, nothing more is counted.
            let is_over = dialling.is_finished();
            counted = scene.agent.counter("refused");
            if told + lost < counted {
                let seen = scene.agent.ask("seen");
                let (events, missing) =
                    seen.rsplit_once("; lost ").unwrap_or_else(|| panic!("{told} told, {lost} lost: {seen}"));
                told += events.matches(" refused 1 ").count() as u64;
                lost += missing.parse::<u64>().unwrap();
            } else if is_over {
                break;
            } else {
                thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!(dialling.join().unwrap(), ATTEMPTS);
    });
    assert!(counted >= ATTEMPTS, "{counted}");
    let most = aya::util::nr_cpus().unwrap() as f64 * (BURST + PACE * start.elapsed().as_secs_f64() + 1.0);
    println!("{told} told, {lost} lost");
    assert_eq!(told + lost, counted);
    assert!(told as f64 <= most, "{told} were told, of {most}");
    scene.agent.tell("leave");
    scene.agent.tell(&format!("remove {frontend}"));
    scene.end();
}
