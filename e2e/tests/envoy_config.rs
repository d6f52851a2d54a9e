//! The CiliumEnvoyConfig of the article: traffic is split, rewritten, retried, and a failing backend is ejected.

use std::time::Duration;

use anyhow::{Result, ensure};
use axoneme_e2e::{Answer, Cluster, From, cluster::NODES, scenario, until};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/article/cec.yaml");
const NAMESPACE: &str = "cilium-test";

#[test]
fn the_articles_config_splits_rewrites_and_retries() -> Result<()> {
    scenario("envoy-config", |cluster| {
        cluster.kubectl(&["apply", "-f", EXAMPLE])?;
        cluster.ready(NAMESPACE)?;
        for node in NODES {
            for service in ["echo-same-node", "echo-other-node"] {
                splits_and_rewrites(cluster, node, service)?;
            }
        }
        retries(cluster)?;

        cluster.kubectl(&["delete", "ciliumenvoyconfig", "-n", NAMESPACE, "envoy-lb-listener"])?;
        let url = format!("http://echo-same-node.{NAMESPACE}:8080/foo");
        let plain = |answer: &Answer| {
            !answer.by_envoy() && answer.body == "echo-same-node\n" && answer.header("x-echo-path") == "/foo"
        };
        cluster.ask_until("the Service answers as plain Kubernetes again", From::Pod("node1"), &url, plain)?;
        cluster.kubectl(&["delete", "-f", EXAMPLE, "--ignore-not-found", "--wait=false"]).map(drop)
    })
}

/// Half of 1,000 requests for each backend, within five standard deviations (16 each): wrong once in a million runs.
fn splits_and_rewrites(cluster: &Cluster, node: &str, service: &str) -> Result<()> {
    let url = format!("http://{service}.{NAMESPACE}:8080/foo/bar");
    cluster.ask_until(&format!("{service} goes by Envoy on {node}"), From::Pod(node), &url, Answer::by_envoy)?;
    let answers = cluster.ask_many(From::Pod(node), &url, 1000)?.into_iter().collect::<Result<Vec<_>>>()?;
    let wrong = answers.iter().find(|it| it.status != 200 || !it.by_envoy() || it.header("x-echo-path") != "/");
    ensure!(wrong.is_none(), "not rewritten, or not by Envoy: {wrong:?}");
    let same = answers.iter().filter(|it| it.body == "echo-same-node\n").count();
    println!("{service} from {node}: {same} of {} at echo-same-node", answers.len());
    ensure!(answers.len() == 1000 && same.abs_diff(500) <= 79, "split {same} of {}", answers.len());
    Ok(())
}

/// One backend answers every other request with 503: its Service shows that, the config hides it.
fn retries(cluster: &Cluster) -> Result<()> {
    let args = r#"[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--fail-ratio=0.5"}]"#;
    cluster.kubectl(&["patch", "deployment", "-n", NAMESPACE, "echo-same-node", "--type=json", "-p", args])?;
    cluster.ready_anew(NAMESPACE, "echo-same-node")?;
    let pod = cluster.kubectl(&[
        "get",
        "pods",
        "-n",
        NAMESPACE,
        "-l",
        "name=echo-same-node",
        "-o",
        "jsonpath={.items[*].status.podIP}",
    ])?;
    let direct = statuses(cluster, &format!("http://{}:8080/", pod.trim()), 20)?;
    ensure!(direct.iter().filter(|status| **status == 503).count() == 10, "the backend itself: {direct:?}");
    let url = format!("http://echo-other-node.{NAMESPACE}:8080/foo");
    let retried = statuses(cluster, &url, 200)?;
    ensure!(retried.len() == 200 && retried.iter().all(|status| *status == 200), "not retried: {retried:?}");
    Ok(())
}

#[test]
fn a_backend_that_keeps_failing_is_ejected() -> Result<()> {
    scenario("ejection", |cluster| {
        let namespace = "e2e-ejection";
        cluster.fresh_namespace(namespace)?;
        cluster.apply(namespace, include_str!("manifests/ejection.yaml"))?;
        cluster.ready(namespace)?;
        let url = format!("http://app.{namespace}/");
        cluster.ask_until("the failing backend is seen", From::Pod("node1"), &url, |it| {
            it.by_envoy() && it.status == 503
        })?;
        // Three failures in a row eject it, for a minute. Nothing retries, so while it is there every other request fails.
        until("it is ejected: 20 requests in a row are answered by the other one", Duration::from_secs(20), || {
            let answers = statuses(cluster, &url, 20)?;
            ensure!(answers.iter().all(|status| *status == 200), "{answers:?}");
            Ok(())
        })?;
        cluster.leave(namespace)
    })
}

fn statuses(cluster: &Cluster, url: &str, count: usize) -> Result<Vec<u16>> {
    let answers = cluster.ask_many(From::Pod("node1"), url, count)?;
    answers.into_iter().map(|answer| answer.map(|it| it.status)).collect()
}
