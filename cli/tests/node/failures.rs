//! Backends that fail: what the articles' retries and outlier detection make of them.

use axoneme_testnet::{Layout, Namespace, http::Answer};
use nix::sys::signal::Signal;

use crate::scene::{OTHER, SAME, Scene};

/// Asks often enough that a backend with a quarter of the traffic is asked more than five times.
const OFTEN: u32 = 60;

fn all_is_well(scene: &Scene, from: &Namespace) -> Vec<Answer> {
    let ask = |redirect| scene.both(redirect).map(|at| scene.get_many(from, at, "/", OFTEN));
    let answers: Vec<_> = [SAME, OTHER].into_iter().flat_map(ask).flatten().collect();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status() != Some(200)).collect();
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), answers.len(), failed[0]);
    answers
}

fn answered_by(answers: &[Answer], text: &str) -> usize {
    answers.iter().filter(|answer| answer.text() == text).count()
}

#[test]
fn a_backend_that_answers_503_is_retried_elsewhere_and_ejected() {
    let mut scene = Scene::start("ejects", Layout::Routed);
    let pod = scene.article.client.clone();
    scene.article.start("sick", 8080, "sick", &["--fail-ratio", "1"]).unwrap();
    scene.article.publish("echo-same-node", &["echo-same-node", "sick"]).unwrap();
    scene.wait_for_hosts("echo-same-node", 2);
    assert_eq!(answered_by(&all_is_well(&scene, &pod), "sick"), 0, "its 503 is no answer");

    // It is well again, but nobody asks it: it is ejected for half a minute.
    scene.article.restart("sick", 8080, "well", &[]).unwrap();
    assert_eq!(answered_by(&all_is_well(&scene, &pod), "well"), 0, "an ejected backend is not asked");

    // A backend that comes anew is asked, so it was the ejection that kept it away.
    scene.article.publish("echo-same-node", &["echo-same-node"]).unwrap();
    scene.wait_for_hosts("echo-same-node", 1);
    scene.article.publish("echo-same-node", &["echo-same-node", "sick"]).unwrap();
    scene.wait_for_hosts("echo-same-node", 2);
    assert_ne!(answered_by(&all_is_well(&scene, &pod), "well"), 0);
}

#[test]
fn a_backend_that_is_not_there_costs_no_request() {
    let mut scene = Scene::start("absent", Layout::Bridge);
    let pod = scene.article.client.clone();
    scene.article.start("dead", 8080, "dead", &[]).unwrap();
    scene.article.publish("echo-same-node", &["echo-same-node", "dead"]).unwrap();
    scene.wait_for_hosts("echo-same-node", 2);
    assert_ne!(answered_by(&all_is_well(&scene, &pod), "dead"), 0);
    scene.article.backends["dead"].server.signal(Signal::SIGKILL).unwrap();
    assert_eq!(answered_by(&all_is_well(&scene, &pod), "dead"), 0);
}
