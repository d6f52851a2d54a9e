//! The loader is killed at any moment, of its start too, and may stay away. Nobody is to notice.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{load::Manners, random::Random, scene::Scene};

/// Kills the loader so often.
fn kill(name: &str, times: usize) {
    let mut scene = Scene::start(name);
    let load = scene.load(Manners::Strict);
    let mut random = Random(1);
    for time in 0..times {
        load.at(time);
        if time % 2 == 0 {
            scene.until_served();
        }
        // Any moment will do, so a slow machine is none the worse for it.
        sleep(Duration::from_millis(u64::try_from(random.below(300)).unwrap()));
        scene.kill_loader();
        scene.start_loader();
        load.goes_on();
    }
    scene.until_served();
    load.goes_on();
    println!("{times} kills of the loader: {}", load.end());
    assert_eq!(scene.lost(), 0, "{:#?}\n{}", scene.status(), scene.words());
}

#[test]
fn edge_26_loaders_that_are_killed_under_load_fail_no_request() {
    kill("loaders", 5);
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_26_a_hundred_killed_loaders_fail_no_request() {
    kill("loaders-soak", 100);
}

/// For so long there is no loader.
fn without_loader(name: &str, time: Duration) {
    let mut scene = Scene::start(name);
    let load = scene.load(Manners::Strict);
    let start = Instant::now();
    scene.kill_loader();
    while start.elapsed() < time {
        load.goes_on();
    }
    scene.start_loader();
    scene.until_served();
    load.goes_on();
    println!("{time:?} without a loader: {}", load.end());
    assert_eq!(scene.lost(), 0, "{:#?}\n{}", scene.status(), scene.words());
}

#[test]
fn edge_26_without_a_loader_new_connections_are_served_too() {
    without_loader("no-loader", Duration::from_secs(1));
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_26_ten_minutes_without_a_loader_fail_no_request() {
    without_loader("no-loader-soak", Duration::from_secs(600));
}
