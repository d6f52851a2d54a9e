//! What the node is like afterwards: as before, to the byte, whoever else lives there.

use axoneme_node::kernel::Attachment;
use axoneme_testnet::{Layout, Namespace, difference, wait_until};

use crate::{PROXY_PORT, SOON, scene::Scene, stranger, talk::dial};

fn everything(node: &Namespace) -> String {
    let traces = node.traces().unwrap();
    format!("{traces}tcx\n{}", stranger::programs(node))
}

/// The program that users have.
fn cleanup(node: &Namespace) {
    let program = env!("CARGO_BIN_EXE_axoneme-node");
    node.run(program, ["cleanup", "--cgroup", "/sys/fs/cgroup"]).unwrap();
}

/// Installed, used, changed.
fn live(scene: &mut Scene) {
    let _proxy = scene.proxy();
    for frontend in scene.frontends() {
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1 listed"));
        scene.agent.tell("list 0.0.0.0/0 ::/0");
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "proxy", "{place:?}");
        }
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} draining refuse 2"));
        assert_eq!(dial(&scene.places()[0], frontend).unwrap().who, "backend");
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 3"));
    }
}

/// Somebody else lives there already; the loader comes after that.
fn begin(name: &str, layout: Layout, attachment: Option<Attachment>) -> (Scene, String) {
    let mut scene = Scene::on(name, layout, attachment);
    scene.agent.tell("cleanup");
    scene.agent.kill();
    stranger::settle(&scene.node);
    let before = everything(&scene.node);
    scene.agent.restart(&scene.node);
    live(&mut scene);
    (scene, before)
}

fn is_as(before: &str, scene: &Scene, when: &str) {
    // Devices of pods, and what the kernel has for them, may take a moment to go.
    let _ = wait_until("nothing to be left", SOON, || Ok(everything(&scene.node) == before));
    let after = everything(&scene.node);
    assert!(after == before, "{when}:\n{}", difference(before, &after));
}

fn clean_up_after_a_kill(name: &str, attachment: Option<Attachment>) {
    let (mut scene, before) = begin(name, Layout::Routed, attachment);
    scene.agent.kill();
    assert_ne!(everything(&scene.node), before, "what is killed goes on");
    cleanup(&scene.node);
    is_as(&before, &scene, "after a kill");
    cleanup(&scene.node);
    is_as(&before, &scene, "when there was nothing to do");
}

#[test]
fn a_cleanup_after_a_kill_leaves_the_node_as_it_was() {
    clean_up_after_a_kill("traces", None);
}

/// The program does not know what the kernel was when the loader began.
#[test]
fn a_cleanup_of_filters_leaves_the_node_as_it_was() {
    clean_up_after_a_kill("traces-filters", Some(Attachment::Clsact));
}

#[test]
fn a_cleanup_beside_a_loader_leaves_the_node_as_it_was() {
    let (mut scene, before) = begin("traces-beside", Layout::Bridge, None);
    let late = scene.node.pod("late").unwrap();
    cleanup(&scene.node);
    drop(late);
    is_as(&before, &scene, "while the loader runs, which puts nothing back");
    scene.agent.kill();
    is_as(&before, &scene, "after its end");
}
