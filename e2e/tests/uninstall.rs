//! An installation is taken off again, as its notes say: the nodes are what they were before it, to the byte, and nothing of ours is left in
//! the cluster but the definitions, which hold what users wrote.

use std::time::Duration;

use anyhow::{Result, ensure};
use axoneme_e2e::{
    Cluster,
    ask::CLIENTS,
    cluster::{NAMESPACE, NODES},
    until,
};
use axoneme_testnet::difference;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
#[ignore = "the last of all: `cargo xtask e2e` runs it when the others are done"]
fn nothing_is_left_of_an_installation() -> Result<()> {
    let cluster = Cluster::get()?;
    cluster.kubectl(&["delete", "namespace", CLIENTS, "--ignore-not-found", "--wait"])?;
    cluster.nothing_left()?;
    for node in NODES {
        ensure!(cluster.traces(node)? != cluster.traces_before(node)?, "{node} has nothing of ours");
    }

    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/axoneme");
    let cleanup = ["--reset-then-reuse-values", "--set", "node.cleanup=true", "--wait", "--timeout=120s"];
    cluster.helm(&[&["upgrade", "axoneme", chart, "--namespace", NAMESPACE], &cleanup[..]].concat())?;
    for release in ["axoneme", "axoneme-crds"] {
        cluster.helm(&["uninstall", release, "--namespace", NAMESPACE, "--wait", "--timeout=120s"])?;
    }
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait"])?;

    for node in NODES {
        until(&format!("{node} is what it was before"), LIMIT, || {
            let (before, after) = (cluster.traces_before(node)?, cluster.traces(node)?);
            ensure!(before == after, "{node}:\n{}", difference(&before, &after));
            Ok(())
        })?;
    }
    until("nothing of ours is left in the cluster", LIMIT, || {
        let left = ours(&cluster)?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
}

/// Objects that have our name, or something that the operator wrote. Events go by themselves, an hour later, and definitions are kept for
/// what users wrote.
fn ours(cluster: &Cluster) -> Result<Vec<String>> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"])?;
    let is_kept = |kind: &str| kind.starts_with("events") || kind == "customresourcedefinitions.apiextensions.k8s.io";
    let kinds: Vec<_> = kinds.lines().filter(|kind| !is_kept(kind)).collect();
    let all = cluster.get_json(&[&kinds.join(","), "-A", "--show-managed-fields"])?;
    let name = |object: &serde_json::Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let objects = all["items"].as_array().into_iter().flatten();
    Ok(objects.filter(|object| object["metadata"].to_string().contains("axoneme")).map(name).collect())
}
