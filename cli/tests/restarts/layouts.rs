//! The loader is replaced by one whose maps have another layout: to it, what is pinned is another version's. Every other time it is
//! killed while it takes over, and what it began is for the next one to end.

use std::{thread::sleep, time::Duration};

use crate::{
    aged::{COUNTED, LAYOUTS, age},
    load::Manners,
    manifests::INGRESS,
    random::Random,
    scene::Scene,
};

/// Replaces the loader so often.
fn upgrade(name: &str, times: usize) {
    let mut scene = Scene::start(name);
    let load = scene.load(Manners::Strict);
    let (mut counted, mut random) = (0, Random(1));
    for time in 0..times {
        load.at(time);
        scene.stop_loader();
        // The folder is called after the layout.
        let other = format!("{:016x}", time + 1);
        let layout = LAYOUTS[time % LAYOUTS.len()];
        age(&scene.node, layout, &other);
        load.goes_on();
        scene.start_loader();
        let mut words = String::new();
        if time % 2 == 1 {
            // Any moment will do, so a slow machine is none the worse for it.
            sleep(Duration::from_millis(random.below(400).try_into().unwrap()));
            scene.kill_loader();
            words = scene.last_words().to_owned();
            load.goes_on();
            scene.start_loader();
        }
        scene.until_served();
        load.goes_on();
        let left = scene.node.run("ls", ["/sys/fs/bpf/axoneme"]).unwrap();
        assert!(left.lines().count() == 1 && left.trim() != other, "{left}");
        // Without it the state file would have all back in a moment, but for what drains.
        words += &scene.loader_words();
        let taken = words.lines().any(|line| line.contains("map=\"FRONTENDS\"") && line.contains("taking over"));
        assert!(taken && !words.contains("cannot be read"), "{layout:?}: {words}");
        assert_eq!(scene.lost(), 0, "{:#?}\n{}", scene.status(), scene.words());
        counted += COUNTED;
        let now = scene.counter(INGRESS, "taken");
        assert!(now >= counted, "counters of {layout:?} were lost: {now} of {counted}\n{}", scene.words());
    }
    println!("{times} changes of the layout: {}", load.end());
}

#[test]
fn edge_26_an_upgrade_to_another_layout_fails_no_request() {
    upgrade("layouts", 2);
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_26_twenty_upgrades_to_another_layout_fail_no_request() {
    upgrade("layouts-soak", 20);
}
