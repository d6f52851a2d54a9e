//! An edit of a file is seen by the next requests, and by nobody whom it does not concern.

use std::{collections::BTreeSet, time::Instant};

use axoneme_testnet::{Layout, wait_until};

use crate::scene::{INGRESS, OTHER, SAME, SOON, Scene};

#[test]
fn a_path_and_a_weight_change() {
    let scene = Scene::start("edits", Layout::Routed);
    let (outside, pod) = (&scene.article.outside, &scene.article.client);

    scene.article.edit("ingress.yaml", "path: /foo", "path: /oof").unwrap();
    for at in scene.both(INGRESS) {
        scene.until(outside, at, "/oof", |answer| answer.text() == "foo");
        assert_eq!(scene.get(outside, at, "/foo").status(), Some(404));
        assert_eq!(scene.get(outside, at, "/bar").text(), "bar");
    }

    let weights = ["echo-same-node\n              weight: 50", "echo-same-node\n              weight: 0"];
    scene.article.edit("cec.yaml", weights[0], weights[1]).unwrap();
    for at in scene.both(SAME) {
        let answered = || scene.get_many(pod, at, "/", 20).iter().all(|answer| answer.text() == "echo-other-node");
        wait_until("the weight", SOON, || Ok(answered())).unwrap();
    }
}

#[test]
fn backends_come_and_go() {
    let mut scene = Scene::start("scale", Layout::Bridge);
    for pod in ["foo-2", "foo-3"] {
        scene.article.start(pod, 5678, "foo", &[]).unwrap();
    }
    let scene = &scene;
    let outside = &scene.article.outside;
    let all_answer = |pods: &[&str]| {
        scene.article.publish("foo-app", pods).unwrap();
        for at in scene.both(INGRESS) {
            let names = || {
                let answers = scene.get_many(outside, at, "/foo", 12);
                // Who is there all the time goes on to answer, so no request may fail in between.
                assert!(answers.iter().all(|answer| answer.status() == Some(200)), "{answers:?}");
                answers.iter().map(|answer| answer.header("x-echo-name").to_owned()).collect::<BTreeSet<_>>()
            };
            wait_until("the backends", SOON, || Ok(names() == pods.iter().map(ToString::to_string).collect())).unwrap();
        }
    };
    all_answer(&["foo-2", "foo-3", "foo-app"]);
    all_answer(&["foo-2"]);

    scene.article.publish("foo-app", &[]).unwrap();
    for at in scene.both(INGRESS) {
        scene.until(outside, at, "/foo", |answer| answer.status() == Some(503));
        let asked = Instant::now();
        assert_eq!(scene.get(outside, at, "/foo").status(), Some(503));
        assert!(asked.elapsed() < SOON / 4, "nobody waits for backends that are not there: {:?}", asked.elapsed());
        assert_eq!(scene.get(outside, at, "/bar").text(), "bar");
    }

    scene.article.publish("foo-app", &["foo-3"]).unwrap();
    for at in scene.both(INGRESS) {
        scene.until(outside, at, "/foo", |answer| answer.header("x-echo-name") == "foo-3");
    }
}

#[test]
fn what_is_deleted_is_gone_and_services_are_plain_again() {
    let mut scene = Scene::start("deletes", Layout::Bridge);
    let (outside, pod) = (scene.article.outside.clone(), scene.article.client.clone());
    let (ingress, same) = (scene.both(INGRESS), scene.both(SAME));
    scene.serve_by_nat_too();

    scene.article.delete("ingress.yaml").unwrap();
    scene.wait_for_only(&[SAME, OTHER]);
    for at in ingress {
        // What is left are the NAT rules of an Ingress' Service, whose backend is nowhere.
        assert_ne!(scene.get(&outside, at, "/bar").header("server"), "envoy");
    }
    for at in same {
        let answer = scene.get(&pod, at, "/path");
        assert_eq!(answer.header("server"), "envoy", "the other object is not concerned: {answer:?}");
    }

    let text = std::fs::read_to_string(scene.article.folder().join("cec.yaml")).unwrap();
    let kept: Vec<_> = text.split("---\n").filter(|object| !object.contains("kind: CiliumEnvoyConfig")).collect();
    scene.article.write("cec.yaml", &kept.join("---\n")).unwrap();
    scene.wait_for_only(&[]);
    for at in same {
        let plain = scene.until(&pod, at, "/path", |answer| answer.header("server").is_empty());
        assert_eq!((plain.text(), plain.header("x-echo-path")), ("echo-same-node", "/path"));
    }

    scene.article.write("cec.yaml", &text).unwrap();
    for at in same {
        scene.until(&pod, at, "/path", |answer| answer.header("server") == "envoy");
    }
}
