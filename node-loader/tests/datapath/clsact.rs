//! The datapath on filters of `clsact`, which is all that kernels before 6.6 have. Where there are links, these tests ask for
//! filters all the same; on an older kernel every other test runs on filters, too.

use axoneme_node::kernel::Attachment;
use axoneme_testnet::{Layout, wait_until};

use crate::{
    SOON,
    scene::{PROXY_PORT, Scene},
    talk::{Place, Talk, dial},
};

const CLSACT: Option<Attachment> = Some(Attachment::Clsact);

/// Whether this kernel has filters only, so that nobody else can have a link beside ours, either.
pub(crate) fn is_all_there_is() -> bool {
    Attachment::of_this_kernel().unwrap() == Attachment::Clsact
}

/// All filters at the ingress of all devices, one in a line.
fn filters(scene: &Scene) -> Vec<String> {
    let script = "for device in $(ls /sys/class/net); do tc filter show dev $device ingress | grep handle; done; true";
    scene.node.run("sh", ["-c", script]).unwrap().lines().map(str::to_owned).collect()
}

/// The devices that have the qdisc.
fn qdiscs(scene: &Scene) -> Vec<String> {
    let script = "tc qdisc show | grep clsact | cut -d' ' -f5; true";
    scene.node.run("sh", ["-c", script]).unwrap().lines().map(str::to_owned).collect()
}

fn tc(scene: &Scene, words: &str) {
    scene.node.run("tc", words.split(' ')).unwrap();
}

fn all_are_taken(scene: &Scene, frontend: std::net::SocketAddr, when: &str) -> Vec<Talk> {
    let dial = |place: &Place<'_>| {
        let talk = dial(place, frontend).unwrap();
        assert_eq!(talk.who, "proxy", "{place:?} {when}");
        talk
    };
    scene.places().iter().map(dial).collect()
}

#[test]
fn edge_26_filters_are_exchanged_in_place_and_cover_new_pods() {
    for layout in [Layout::Routed, Layout::Bridge] {
        let mut scene = Scene::on("clsact", layout, CLSACT);
        let _proxy = scene.proxy();
        let there = filters(&scene).len();
        for frontend in scene.frontends() {
            scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
            let mut talks = all_are_taken(&scene, frontend, "at first");
            scene.agent.kill();
            talks.extend(all_are_taken(&scene, frontend, "without a loader"));
            scene.agent.restart(&scene.node);
            talks.extend(all_are_taken(&scene, frontend, "with the next loader"));
            talks.iter_mut().for_each(Talk::check);
            assert_eq!(filters(&scene).len(), there, "{:?}", filters(&scene));
        }
        let frontend = scene.frontends()[0];
        let pins = |scene: &Scene| scene.node.run("sh", ["-c", "ls /sys/fs/bpf/axoneme/*"]).unwrap();
        let before = pins(&scene);
        let pod = scene.node.pod("late").unwrap();
        let covered = || Ok(dial(&Place::Net(&pod), frontend).is_ok_and(|talk| talk.who == "proxy"));
        wait_until("the new pod is covered", SOON, covered).unwrap();
        assert_ne!(pins(&scene), before);
        drop(pod);
        wait_until("the record is gone", SOON, || Ok(pins(&scene) == before)).unwrap();
        scene.end();
    }
}

#[test]
fn edge_26_an_upgrade_that_changes_the_maps_breaks_no_connection_on_filters() {
    let mut scene = Scene::on("clsact-layout", Layout::Bridge, CLSACT);
    let _proxy = scene.proxy();
    let there = filters(&scene).len();
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 7"));
    let mut talks = all_are_taken(&scene, frontend, "at first");
    scene.agent.kill();
    scene.node.run("sh", ["-ec", "cd /sys/fs/bpf/axoneme; mv * 0000000000000001"]).unwrap();
    scene.agent.restart(&scene.node);
    talks.extend(all_are_taken(&scene, frontend, "with maps of another layout"));
    talks.iter_mut().for_each(Talk::check);
    assert_eq!(filters(&scene).len(), there, "{:?}", filters(&scene));
    drop(talks);
    // That the qdiscs are ours was handed down.
    scene.agent.tell("cleanup");
    assert_eq!(qdiscs(&scene), [""; 0]);
    scene.end();
}

#[test]
fn filters_and_qdiscs_of_others_stay() {
    let mut scene = Scene::on("clsact-others", Layout::Routed, CLSACT);
    let _proxy = scene.proxy();
    let frontend = scene.frontends()[0];
    assert!(qdiscs(&scene).contains(&"eth0".to_owned()), "{:?}", qdiscs(&scene));
    // One that ends the row wherever it is asked: ours are asked before.
    for direction in ["ingress", "egress"] {
        tc(&scene, &format!("filter add dev eth0 {direction} protocol all pref 5 u32 match u32 0 0 classid 1:1"));
    }
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
    all_are_taken(&scene, frontend, "before the filter of another");
    scene.agent.tell("cleanup");
    scene.agent.kill();
    assert_eq!((qdiscs(&scene), filters(&scene)), (vec!["eth0".to_owned()], vec![]), "ours, but somebody uses it");
    for direction in ["ingress", "egress"] {
        let shown = scene.node.run("tc", ["filter", "show", "dev", "eth0", direction]).unwrap();
        assert!(shown.contains("u32"), "{direction}: {shown}");
        tc(&scene, &format!("filter del dev eth0 {direction}"));
    }
    scene.agent.restart(&scene.node);
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
    all_are_taken(&scene, frontend, "beside the qdisc of another");
    scene.agent.tell("cleanup");
    assert_eq!((qdiscs(&scene), filters(&scene)), (vec!["eth0".to_owned()], vec![]), "it was there before us");
    scene.end();
}

#[test]
fn a_filter_that_somebody_deletes_comes_back() {
    let mut scene = Scene::on("clsact-deleted", Layout::Routed, CLSACT);
    let _proxy = scene.proxy();
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
    all_are_taken(&scene, frontend, "at first");
    let (there, qdiscs_there) = (filters(&scene).len(), qdiscs(&scene));
    let all_are_back = |scene: &Scene, what: &str| {
        let back = || Ok(filters(scene).len() == there && qdiscs(scene) == qdiscs_there);
        let waited = wait_until(what, SOON, back);
        assert!(waited.is_ok(), "{waited:?}: {:?} at {:?}", filters(scene), qdiscs(scene));
        all_are_taken(scene, frontend, what);
    };
    for device in &qdiscs_there {
        tc(&scene, &format!("qdisc del dev {device} clsact"));
    }
    all_are_back(&scene, "the qdiscs");
    tc(&scene, "filter del dev eth0 ingress");
    all_are_back(&scene, "a filter");
    // What a cleanup takes stays away: there was time to put it back.
    scene.agent.tell("cleanup");
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!((qdiscs(&scene), filters(&scene)), (vec![], vec![]));
    scene.end();
}
