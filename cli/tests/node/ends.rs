//! Every way to end: in order, killed, and Envoy alone.

use std::{os::unix::process::ExitStatusExt as _, thread::sleep, time::Duration};

use axoneme_testnet::{Layout, difference, mesh::Mesh, wait_until};
use nix::sys::signal::Signal;

use crate::scene::{INGRESS, OTHER, SAME, SOON, Scene};

#[test]
fn ctrl_c_leaves_nothing() {
    for (name, layout) in [("end-routed", Layout::Routed), ("end-bridge", Layout::Bridge)] {
        Scene::start(name, layout).ends_and_leaves_nothing();
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_start_leaves_nothing() {
    let scene = Scene::start("early-end", Layout::Routed);
    let (article, programs, before) = (&scene.article, &scene.programs, scene.before.clone());
    let (ended, log) = scene.mesh.stop(SOON).unwrap();
    assert!(ended.success(), "{ended}\n{log}");
    for milliseconds in [10, 30, 60, 100, 150, 250, 400] {
        let run_dir = tempfile::tempdir().unwrap();
        let mesh = Mesh::up(&article.node, programs, article.folder(), run_dir.path()).unwrap();
        sleep(Duration::from_millis(milliseconds));
        let (ended, log) = mesh.stop(SOON).unwrap();
        let left = difference(&before, &article.node.footprint().unwrap());
        assert_eq!(left, "", "after {milliseconds} ms: {ended}\n{log}");
        // Before it catches signals there is nothing to take away; later it ends in order, and says so.
        let in_order = ended.success() && log.contains("nothing is left behind");
        assert!(in_order || ended.signal() == Some(Signal::SIGINT as i32), "after {milliseconds} ms: {ended}\n{log}");
    }
}

#[test]
fn a_start_that_fails_leaves_nothing_and_says_why() {
    let scene = Scene::start("no-envoy", Layout::Routed);
    let mut programs = scene.programs.clone();
    let (article, before) = (&scene.article, scene.before.clone());
    scene.mesh.stop(SOON).unwrap();
    programs.envoy = "/nowhere/envoy".into();
    let run_dir = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(&article.node, &programs, article.folder(), run_dir.path()).unwrap();
    let (ended, log) = mesh.wait(SOON).unwrap();
    assert_eq!(ended.code(), Some(2), "{log}");
    let said = log.lines().last().unwrap_or_default();
    assert!(said.starts_with("error: task node") && said.contains("/nowhere/envoy"), "{log}");
    assert_eq!(difference(&before, &article.node.footprint().unwrap()), "", "{log}");
}

#[test]
fn a_second_mesh_is_refused_and_harms_nothing() {
    let scene = Scene::start("second", Layout::Routed);
    let article = &scene.article;
    let run_dir = tempfile::tempdir().unwrap();
    let second = Mesh::up(&article.node, &scene.programs, article.folder(), run_dir.path()).unwrap();
    let (ended, log) = second.wait(SOON).unwrap();
    assert_eq!(ended.code(), Some(2), "{log}");
    assert!(log.contains("another loader is at work"), "{log}");
    let client = article.client.clone();
    for ingress in scene.both(INGRESS) {
        scene.until(&client, ingress, "/foo", |answer| answer.text() == "foo");
    }
    scene.ends_and_leaves_nothing();
}

#[test]
fn a_killed_mesh_is_taken_over_by_the_next() {
    let mut scene = Scene::start("killed", Layout::Routed);
    let (outside, pod) = (scene.article.outside.clone(), scene.article.client.clone());
    let (ingress, same) = (scene.both(INGRESS), scene.both(SAME));
    let before = scene.mesh.status().unwrap();
    scene.serve_by_nat_too();

    scene.mesh.process().signal(Signal::SIGKILL).unwrap();
    // Envoy goes with it: services with backends fall back to plain ones, an Ingress has nothing to fall back to.
    for (ingress, same) in ingress.into_iter().zip(same) {
        scene.until(&pod, same, "/path", |answer| answer.header("x-echo-path") == "/path");
        scene.until(&outside, ingress, "/foo", |answer| format!("{answer:?}").contains("refused"));
    }

    scene.up_again(&[INGRESS, SAME, OTHER]);
    assert_eq!(scene.mesh.status().unwrap(), before, "addresses and ports are kept");
    for (ingress, same) in ingress.into_iter().zip(same) {
        scene.until(&outside, ingress, "/foo", |answer| answer.text() == "foo");
        scene.until(&pod, same, "/path", |answer| answer.header("server") == "envoy");
    }
    scene.ends_and_leaves_nothing();
}

#[test]
fn what_was_deleted_while_the_mesh_was_away_is_gone() {
    let mut scene = Scene::start("away", Layout::Bridge);
    let (pod, same) = (scene.article.client.clone(), scene.both(SAME));
    scene.mesh.process().signal(Signal::SIGKILL).unwrap();
    scene.article.delete("ingress.yaml").unwrap();
    scene.up_again(&[SAME, OTHER]);
    scene.wait_for_only(&[SAME, OTHER]);
    for at in same {
        scene.until(&pod, at, "/path", |answer| answer.header("server") == "envoy");
    }
    scene.ends_and_leaves_nothing();
}

#[test]
fn envoy_alone_dies_and_is_started_again() {
    let scene = Scene::start("envoy-dies", Layout::Routed);
    let (outside, pod) = (&scene.article.outside, &scene.article.client);
    let (ingress, same) = (scene.both(INGRESS), scene.both(SAME));
    let script = "for pid in $(cat /sys/fs/cgroup/cgroup.procs); do
        case $(cat /proc/$pid/comm) in envoy*) echo $pid; kill -9 $pid; esac; done";
    let killed = scene.article.node.run("sh", ["-c", script]).unwrap();
    assert_eq!(killed.lines().count(), 1, "one Envoy: {killed}");
    for (ingress, same) in ingress.into_iter().zip(same) {
        wait_until("Envoy to serve again", SOON * 2, || {
            let (foo, shared) = (scene.get(outside, ingress, "/foo"), scene.get(pod, same, "/foo"));
            Ok(foo.text() == "foo" && shared.header("x-echo-path") == "/")
        })
        .unwrap();
    }
}
