//! Pods that come and go faster than anybody could look: each device that is there has its program, each that went leaves none.

use std::{fs, mem, thread::sleep, time::Duration};

use axoneme_node::kernel::Attachment;
use axoneme_testnet::{Layout, Namespace, wait_until};
use nix::sys::signal::{Signal, kill};

use crate::{SOON, scene::Scene};

/// Numbers of the devices that have a link of ours, and of all that there are; every device here gets one.
const LOOK: &str = "
    cd /sys/fs/bpf/axoneme/*/ && ls | sed -n 's/^device_//p' | sort >/run/pinned
    cat /sys/class/net/*/ifindex | sort >/run/there
    diff /run/there /run/pinned || true";

fn all_are_covered(node: &Namespace, how_many: usize) {
    let mut difference = String::new();
    let covered = wait_until("every device to be covered", SOON, || {
        difference = node.run("sh", ["-ec", LOOK])?;
        Ok(difference.is_empty())
    });
    assert!(covered.is_ok(), "these are there (<) or pinned (>) only:\n{difference}");
    let there = node.run("sh", ["-c", "wc -l </run/there"]).unwrap();
    assert_eq!(there.trim(), how_many.to_string());
}

/// As many as the kernel makes in the time, thousands a second. Those of a group can go at once, which is quicker by far.
fn add(scene: &Scene, number: usize, group: u8) -> String {
    format!("link add v{number} group {group} type veth peer name w{number} netns {}", scene.pod.pid())
}

#[test]
fn veths_by_the_hundred_come_and_go_and_none_is_missed() {
    let scene = Scene::new("veths", Layout::Routed);
    let (node, there) = (&scene.node, how_many(&scene.node));
    all_are_covered(node, there);
    let lines = (0..150).flat_map(|number| {
        let gone = (number % 15 == 0).then(|| format!("link del v{number}"));
        std::iter::once(add(&scene, number, 1)).chain(gone)
    });
    node.ip(lines).unwrap();
    all_are_covered(node, there + 140);
    node.ip(["link del group 1"]).unwrap();
    all_are_covered(node, there);
    scene.end();
}

#[test]
fn what_was_too_much_to_be_told_is_looked_up() {
    let scene = Scene::new("overrun", Layout::Routed);
    let (node, there) = (&scene.node, how_many(&scene.node));
    // A loader that does not read loses what does not fit into its socket: about a hundred events.
    kill(scene.agent.pid(), Signal::SIGSTOP).unwrap();
    node.ip((0..400).map(|number| add(&scene, number, if number % 4 == 0 { 1 } else { 2 }))).unwrap();
    node.ip(["link del group 2"]).unwrap();
    kill(scene.agent.pid(), Signal::SIGCONT).unwrap();
    all_are_covered(node, there + 100);
    node.ip(["link del group 1"]).unwrap();
    all_are_covered(node, there);
    scene.end();
}

#[test]
fn what_was_too_much_to_be_told_is_looked_up_once_on_filters() {
    let scene = Scene::on("overrun-clsact", Layout::Routed, Some(Attachment::Clsact));
    let (node, there) = (&scene.node, how_many(&scene.node));
    // To put a filter on a device is an event, too: that of as many does not fit into the loader's own socket.
    kill(scene.agent.pid(), Signal::SIGSTOP).unwrap();
    node.ip((0..400).map(|number| add(&scene, number, 1))).unwrap();
    kill(scene.agent.pid(), Signal::SIGCONT).unwrap();
    all_are_covered(node, there + 400);
    rests(&scene);
    node.ip(["link del group 1"]).unwrap();
    all_are_covered(node, there);
    scene.end();
}

/// The agent has nothing more to do: it takes no processor for a second.
fn rests(scene: &Scene) {
    let path = format!("/proc/{}/stat", scene.agent.pid());
    // After the name in parentheses, user and system time are the 12th and 13th words.
    let used = || {
        let stat = fs::read_to_string(&path).unwrap();
        let words = stat.rsplit(')').next().unwrap().split_whitespace();
        words.skip(11).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut before = used();
    let rested = wait_until("the agent to rest", SOON, || {
        sleep(Duration::from_secs(1));
        Ok(mem::replace(&mut before, used()) == before)
    });
    assert!(rested.is_ok(), "it is busy without an end");
}

fn how_many(node: &Namespace) -> usize {
    node.run("sh", ["-c", "ls /sys/class/net | wc -l"]).unwrap().trim().parse().unwrap()
}
