//! The operator is away: everything else may end and start, and serves. Even after a reboot, if its state outlived it; else when the
//! operator is there.

use std::time::{Duration, Instant};

use crate::{load::Manners, scene::Scene};

/// For so long at least, and `rounds` at least, loaders and Envoys are replaced; then the machine reboots.
fn without_operator(name: &str, rounds: usize, time: Duration) {
    let mut scene = Scene::start(name);
    scene.end_operator();
    let load = scene.load(Manners::MayBeAskedToGo);
    let (start, mut round) = (Instant::now(), 0);
    while round < rounds || start.elapsed() < time {
        load.at(round);
        match round % 3 {
            0 => {
                scene.kill_loader();
                scene.start_loader();
            }
            1 => {
                scene.start_envoy();
                scene.until_taken_over();
                scene.end_oldest_envoy();
            }
            // The next one is there before this one goes.
            _ => scene.replace_loader(),
        }
        scene.until_served();
        load.goes_on();
        round += 1;
    }
    println!("{:?} without an operator, {round} replacements: {}", start.elapsed(), load.end());
    assert_eq!(scene.lost(), 0, "{:#?}\n{}", scene.status(), scene.words());

    scene.reboot();
    println!("all is served {:?} after a reboot without an operator", scene.until_served());
    scene.load(Manners::Strict).end();

    scene.start_operator();
    scene.until_synced();
    scene.load(Manners::Strict).end();

    scene.reboot_without_memory();
    println!("all is served {:?} after a reboot with nothing but an operator", scene.until_served());
    scene.load(Manners::Strict).end();
}

#[test]
fn edge_26_without_an_operator_all_is_replaced_and_nothing_fails() {
    without_operator("away", 3, Duration::ZERO);
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_26_ten_minutes_without_an_operator() {
    without_operator("away-soak", 3, Duration::from_secs(600));
}
