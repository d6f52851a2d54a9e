//! What a node is made of is told: each device with its program or why it has none.

use axoneme_testnet::{Layout, wait_until};

use crate::scene::{SAME, SOON, Scene};

#[test]
fn devices_are_told_with_their_programs_or_why_they_have_none() {
    let scene = Scene::start_with("devices", Layout::Bridge, &[SAME], |article| {
        article.node.ip([
            // By its name the device of kube-proxy's ipvs mode, which not every kernel has.
            "link add kube-ipvs0 type bridge",
            "link add mac9 link eth0 type macvlan",
        ])
    });
    let devices = [
        ("lo", "from_host"),
        ("eth0", "from_netdev"),
        ("cni0", "from_container"),
        ("veth1", "from_container"),
        ("mac9", "left alone: neither a pod's nor an uplink"),
        ("kube-ipvs0", "left alone: kube-proxy's, in ipvs mode"),
    ];
    let all = || {
        let told = status(&scene);
        Ok(devices.iter().all(|(device, what)| says(&told, device, what)))
    };
    assert!(wait_until("the programs", SOON, all).is_ok(), "{devices:?} in\n{}", status(&scene));
}

fn status(scene: &Scene) -> String {
    let run_dir = scene.mesh.run_dir().to_string_lossy().into_owned();
    scene.article.node.run(env!("CARGO_BIN_EXE_axonctl"), ["status", "--run-dir", &run_dir]).unwrap()
}

/// Whether the line of a device has this.
fn says(told: &str, device: &str, what: &str) -> bool {
    told.lines().any(|line| line.split_whitespace().next() == Some(device) && line.contains(what))
}
