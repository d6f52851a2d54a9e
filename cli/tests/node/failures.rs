//! Backends that fail: what the articles' retries and outlier detection make of them.

use axoneme_testnet::{Layout, Namespace, deadly, http::Answer, mesh::Status};
use nix::sys::signal::Signal;

use crate::scene::{INGRESS, OTHER, SAME, START, Scene};

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
    // Of the hosts of a cluster Envoy ejects a tenth, and of two that is none.
    let detection = "consecutive_local_origin_failure: 2";
    scene.article.edit("cec.yaml", detection, &format!("{detection}\n      max_ejection_percent: 50")).unwrap();
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

#[test]
fn edge_11_a_config_that_kills_envoy_says_so_and_all_else_is_served() {
    let mut scene = Scene::start("kills", Layout::Routed);
    let pod = scene.article.client.clone();
    let refusal = |status: &Status| status.rejections.get("cilium-test/deadly/deadly").cloned();
    let crashed = |status: &Status| refusal(status).is_some_and(|message| message.starts_with("ProxyCrashed: "));

    // As on any day: Envoy is known to live with all that there is.
    scene.mesh.wait_for("everything to be proven", START, |status| status.suspects == Some(0)).unwrap();

    scene.article.write("deadly.yaml", &deadly("cilium-test", 5)).unwrap();
    scene.mesh.wait_for("the cause to be found", START, crashed).unwrap();
    scene.wait_for(&[INGRESS, SAME, OTHER]);
    all_is_well(&scene, &pod);
    scene.says(&["CiliumEnvoyConfig cilium-test/deadly", "ProxyCrashed"]);

    // It stays away, and nothing else does.
    scene.article.edit("cec.yaml", "num_retries: 3", "num_retries: 4").unwrap();
    all_is_well(&scene, &pod);
    assert!(crashed(&scene.mesh.status().unwrap()));

    // A version that does no harm gets its chance.
    scene.article.edit("deadly.yaml", "HTTP3", "HTTP1").unwrap();
    scene.mesh.wait_for("the new version", START, |status| refusal(status).is_none()).unwrap();
    all_is_well(&scene, &pod);
}
