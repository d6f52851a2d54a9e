//! Envoy is away: what is reached around it, what is refused, and who hears of it.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use axoneme_testnet::{Layout, Namespace, envoy, http::Answer, mesh::Status, wait_until};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::scene::{INGRESS, OTHER, SAME, SOON, START, Scene, frontends};

/// An Envoy that does not come while somebody holds it.
struct Held {
    folder: TempDir,
}

impl Held {
    fn new() -> Self {
        let held = Self { folder: tempfile::tempdir().unwrap() };
        let (hold, envoy) = (held.hold(), envoy().unwrap());
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--version*) ;; *) while [ -e '{}' ]; do sleep 0.1; done ;; esac\nexec '{}' \"$@\"\n",
            hold.display(),
            envoy.display()
        );
        fs::write(held.program(), script).unwrap();
        fs::set_permissions(held.program(), fs::Permissions::from_mode(0o755)).unwrap();
        held
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("envoy")
    }

    fn hold(&self) -> PathBuf {
        self.folder.path().join("hold")
    }

    fn take(&self) {
        fs::write(self.hold(), "").unwrap();
    }

    fn release(&self) {
        fs::remove_file(self.hold()).unwrap();
    }
}

fn kill_envoy(scene: &Scene) {
    let script = "for pid in $(cat /sys/fs/cgroup/cgroup.procs); do
        case $(cat /proc/$pid/comm) in envoy*) echo $pid; kill -9 $pid; esac; done";
    let killed = scene.article.node.run("sh", ["-c", script]).unwrap();
    assert_eq!(killed.lines().count(), 1, "one Envoy: {killed}");
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer, Answer::Nothing(why) if why.contains("refused"))
}

/// Everywhere that an Ingress has: its addresses and node ports, from wherever they can be asked.
fn everywhere<'a>(scene: &'a Scene, ingress: &[SocketAddr]) -> Vec<(&'a Namespace, SocketAddr)> {
    let (pod, host, outside) = (&scene.article.client, &*scene.article.node, &scene.article.outside);
    let own = host.address.each();
    let reached = |at: &SocketAddr| own.contains(&at.ip()) || axoneme_testnet::address::is_balancer(at.ip());
    let from_outside = ingress.iter().filter(|at| reached(at)).map(|at| (outside, *at));
    ingress.iter().flat_map(|at| [(pod, *at), (host, *at)]).chain(from_outside).collect()
}

fn counted(scene: &Scene, service: &str, reason: &str) -> u64 {
    let output = Command::new(&scene.programs.axonctl)
        .args(["status", "node", "--json", "--run-dir"])
        .arg(scene.mesh.run_dir())
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let counters = status["counters"].as_array().unwrap();
    let of = counters.iter().find(|it| it["service"] == service && it["reason"] == reason);
    of.map_or(0, |it| it["connections"].as_u64().unwrap())
}

fn has_ended(process: &Path) -> bool {
    // A zombie has ended, and waits to be asked about.
    fs::read_to_string(process).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn services_are_reached_around_it_an_ingress_refuses_and_everybody_hears_of_both() {
    let held = Held::new();
    let mut scene =
        Scene::start_under("proxy-away", Layout::Routed, &[INGRESS, SAME, OTHER], |_| Ok(()), held.program());
    scene.serve_by_nat_too();
    let ingress = frontends(&scene.mesh.status().unwrap(), INGRESS);
    assert!(ingress.len() >= 6, "two families of cluster IP, load balancer address and node port: {ingress:?}");
    let same = scene.both(SAME);
    let pod = scene.article.client.clone();

    held.take();
    kill_envoy(&scene);
    for (from, at) in everywhere(&scene, &ingress) {
        scene.until(from, at, "/foo", is_refused);
    }
    for at in same {
        for from in [&pod, &*scene.article.node] {
            let direct = |answer: &Answer| answer.status() == Some(200) && answer.header("server") != "envoy";
            scene.until(from, at, "/path", direct);
        }
    }
    assert!(counted(&scene, SAME, "bypassed") >= 4 && counted(&scene, INGRESS, "refused") >= 10);
    let said = |status: &Status, name: &str| status.rejections.get(name).cloned().unwrap_or_default();
    let away = |status: &Status| {
        said(status, SAME) == "ProxyAway: Envoy does not run; new connections go around it"
            && said(status, INGRESS) == "ProxyAway: Envoy does not run; new connections are refused"
    };
    scene.mesh.wait_for("the node to say so", START, away).unwrap();
    scene.says(&["refused  CiliumEnvoyConfig cilium-test/envoy-lb-listener", "ProxyAway"]);

    held.release();
    scene.mesh.wait_for("Envoy to be back", START, |status| status.rejections.is_empty()).unwrap();
    for at in [ingress[0], same[0]] {
        scene.until(&pod, at, "/foo", |answer| answer.header("server") == "envoy");
    }
    scene.says(&["went around the proxy", SAME]);
    let runs = "runs     CiliumEnvoyConfig cilium-test/envoy-lb-listener";
    let again = || Ok(scene.mesh.process().log()?.matches(runs).count() == 2);
    wait_until("the object to run again", SOON, again).unwrap();

    // And in a life in which it never was there.
    let process = PathBuf::from(format!("/proc/{}/stat", scene.mesh.process().id()));
    scene.mesh.process().signal(Signal::SIGINT).unwrap();
    wait_until("the mesh to end", SOON, || Ok(has_ended(&process))).unwrap();
    held.take();
    scene.up_again(&[]);
    for (from, at) in everywhere(&scene, &ingress) {
        scene.until(from, at, "/foo", is_refused);
    }
    for at in same {
        let direct = |answer: &Answer| answer.status() == Some(200) && answer.header("server") != "envoy";
        scene.until(&pod, at, "/path", direct);
    }
    held.release();
    scene.wait_for(&[INGRESS, SAME, OTHER]);
    scene.ends_and_leaves_nothing();
}
