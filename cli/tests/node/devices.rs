//! What a node is made of is told: each device with its program or why it has none, and what the redirect cannot cope with.

use axoneme_testnet::Layout;

use crate::scene::{SAME, Scene};

#[test]
fn devices_are_told_with_their_programs_and_what_is_not_supported() {
    let scene = Scene::start_with("devices", Layout::Bridge, &[SAME], |article| {
        // By its name the device of kube-proxy's ipvs mode, which not every kernel has.
        article.node.ip(["link add kube-ipvs0 type bridge", "link add mac9 link eth0 type macvlan"])
    });
    scene.says(&["WARN", "not supported", "ipvs mode"]);
    let run_dir = scene.mesh.run_dir().to_string_lossy().into_owned();
    let node = &scene.article.node;
    let told = node.run(env!("CARGO_BIN_EXE_axonctl"), ["status", "--run-dir", &run_dir]).unwrap();
    let line =
        |device: &str| told.lines().find(|line| line.split_whitespace().next() == Some(device)).unwrap_or_default();
    for (device, what) in [
        ("lo", "from_host"),
        ("eth0", "from_netdev"),
        ("cni0", "from_container"),
        ("veth1", "from_container"),
        ("mac9", "left alone: neither a pod's nor an uplink"),
    ] {
        assert!(line(device).contains(what), "{device}: {what}, in\n{told}");
    }
    let (_, unsupported) = told.split_once("not supported\n").unwrap_or_else(|| panic!("{told}"));
    assert!(unsupported.contains("kube-proxy runs in ipvs mode (kube-ipvs0 is there)"), "{told}");
}
