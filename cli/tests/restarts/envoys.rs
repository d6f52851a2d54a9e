//! Another Envoy takes over from the one that serves: both run, new connections go to the new one, and the old one ends when its
//! clients have left. And Envoy is killed, which cannot be helped, but not for long.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use axoneme_testnet::wait_until;

use crate::{
    load::Manners,
    manifests::INGRESS,
    scene::{SOON, Scene},
};

/// Replaces Envoy so often.
fn replace(name: &str, times: usize) {
    let mut scene = Scene::start(name);
    let load = scene.load(Manners::MayBeAskedToGo);
    let mut longest = Duration::ZERO;
    for time in 0..times {
        load.at(time);
        let start = Instant::now();
        scene.start_envoy();
        scene.until_taken_over();
        load.goes_on();
        if time % 2 == 1 {
            // The next loader meets two Envoys, in any order.
            scene.replace_loader();
            scene.until_served();
        }
        scene.end_oldest_envoy();
        longest = longest.max(start.elapsed());
        load.goes_on();
        assert_eq!(scene.lost(), 0, "{:#?}\n{}", scene.status(), scene.words());
    }
    println!("{times} Envoys replaced, the slowest in {longest:?}: {}", load.end());
}

#[test]
fn edge_26_another_envoy_takes_over_and_fails_no_request() {
    replace("envoys", 2);
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_26_twenty_envoys_take_over_and_fail_no_request() {
    replace("envoys-soak", 20);
}

#[test]
fn edge_26_a_websocket_lives_for_the_drain_time_and_is_cut_then() {
    let mut scene = Scene::start("websockets");
    let mut websocket = scene.websocket();
    // The next one gives its clients little time.
    scene.start_envoy_with(Duration::from_secs(1));
    scene.until_taken_over();
    scene.ask_oldest_envoy();
    for _ in 0..3 {
        websocket.talk().unwrap();
    }
    drop(websocket);
    let said = scene.until_oldest_envoy_ended();
    assert!(!said.contains("they are cut"), "its client left in time: {said}");

    let mut websocket = scene.websocket();
    websocket.talk().unwrap();
    scene.start_envoy();
    scene.until_taken_over();
    scene.ask_oldest_envoy();
    let said = scene.until_oldest_envoy_ended();
    assert!(websocket.talk().is_err());
    let cut = said.lines().find(|line| line.contains("they are cut")).unwrap_or_else(|| panic!("{said}"));
    assert!(cut.contains("web/ranged/listener") && cut.contains("connections=1"), "{cut}");
    scene.load(Manners::Strict).end();
}

#[test]
fn edge_26_an_envoy_that_is_killed_is_back_at_once_and_the_node_says_so() {
    let scene = Scene::start("envoy-killed");
    scene.kill_envoy();
    wait_until("the node to miss its Envoy", SOON, || {
        Ok(scene.status().is_some_and(|status| !status.summary.envoy_connected))
    })
    .unwrap();
    // Nobody else serves the address, so nobody is to wait for an answer; and it is counted.
    let before = scene.counter(INGRESS, "refused");
    for outcome in scene.dial() {
        assert_eq!(outcome.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    }
    assert!(scene.counter(INGRESS, "refused") >= before + 2, "{:#?}", scene.status());
    let start = Instant::now();
    scene.go_on_supervising();
    scene.until_served();
    println!("all is served again {:?} after the supervisor saw that Envoy had died", start.elapsed());
    scene.load(Manners::Strict).end();
}
