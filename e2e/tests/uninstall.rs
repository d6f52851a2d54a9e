//! An installation is taken off again, by the commands in its notes: the nodes are what they were before it, to the byte, and nothing of
//! ours is left in the cluster but the definitions, which hold what users wrote, and an empty namespace.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axoneme_e2e::{
    Cluster,
    ask::CLIENTS,
    cluster::{NAMESPACE, NODES},
    theme::{CLASS, ingress},
    until,
};
use axoneme_testnet::deviation;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
/// What stays of the namespace, kind and name.
const OF_KUBERNETES: [&str; 3] =
    [r#""Namespace" "axoneme""#, r#""ServiceAccount" "default""#, r#""ConfigMap" "kube-root-ca.crt""#];

#[test]
#[ignore = "the last of all: `cargo xtask e2e` runs it when the others are done"]
fn nothing_is_left_of_an_installation() -> Result<()> {
    let cluster = Cluster::get()?;
    cluster.kubectl(&["delete", "namespace", CLIENTS, "--ignore-not-found", "--wait"])?;
    cluster.nothing_left()?;
    for node in NODES {
        ensure!(cluster.traces(node)? != cluster.traces_before(node)?, "{node} has nothing of ours");
    }

    leave_a_shared_address(&cluster)?;

    for step in steps(&cluster)? {
        let step = step.iter().map(String::as_str).collect::<Vec<_>>();
        match &step[..] {
            ["helm", args @ ..] => cluster.helm(args)?,
            ["kubectl", args @ ..] => cluster.kubectl(args)?,
            _ => bail!("neither helm nor kubectl: {step:?}"),
        };
    }
    cluster.helm(&["uninstall", "axoneme-crds", "--namespace", NAMESPACE, "--wait", "--timeout=120s"])?;

    for node in NODES {
        until(&format!("{node} is what it was before"), LIMIT, || {
            let (before, after) = (cluster.traces_before(node)?, cluster.traces(node)?);
            ensure!(before == after, "{node}:\n{}", deviation(&before, &after));
            Ok(())
        })?;
    }
    until("nothing of ours is left in the cluster", LIMIT, || {
        let left = ours(&cluster)?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
}

/// The Service of Ingresses in shared mode, which stays without any.
fn leave_a_shared_address(cluster: &Cluster) -> Result<()> {
    let namespace = "e2e-uninstall";
    cluster.fresh_namespace(namespace)?;
    let annotations = json!({"ingress.axoneme.io/loadbalancer-mode": "shared"});
    cluster.apply(namespace, &ingress("web", "nobody", &annotations).replace(CLASS, "axoneme"))?;
    cluster.ingress_address(namespace, "web")?;
    cluster.kubectl(&["delete", "namespace", namespace, "--wait"])?;
    cluster.kubectl(&["get", "service", "-n", NAMESPACE, "cilium-ingress"]).map(drop)
}

/// The commands that the chart's notes end with.
fn steps(cluster: &Cluster) -> Result<Vec<Vec<String>>> {
    let notes = cluster.helm(&["get", "notes", "axoneme", "--namespace", NAMESPACE])?;
    let (_, steps) = notes.split_once("To uninstall").context("the notes do not say how to uninstall")?;
    let chart = |word: &str| match word.strip_prefix("charts/") {
        Some(chart) => format!("{}/../charts/{chart}", env!("CARGO_MANIFEST_DIR")),
        None => word.to_owned(),
    };
    let words = |line: &str| line.split_whitespace().map(chart).collect();
    let steps = steps.lines().filter(|line| line.starts_with("  ")).map(words).collect::<Vec<_>>();
    ensure!(steps.len() == 3, "the notes have other steps: {steps:?}");
    Ok(steps)
}

/// Objects that have our name, or something that the operator wrote. Events go by themselves, an hour later, definitions are kept for
/// what users wrote, and the namespace, with what Kubernetes puts into each, was there for others to use.
fn ours(cluster: &Cluster) -> Result<Vec<String>> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"])?;
    let is_kept = |kind: &str| kind.starts_with("events") || kind == "customresourcedefinitions.apiextensions.k8s.io";
    let kinds: Vec<_> = kinds.lines().filter(|kind| !is_kept(kind)).collect();
    let all = cluster.get_json(&[&kinds.join(","), "-A", "--show-managed-fields"])?;
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let is_ours = |object: &&Value| object["metadata"].to_string().contains("axoneme");
    let objects = all["items"].as_array().into_iter().flatten().filter(is_ours).map(name);
    Ok(objects.filter(|name| !OF_KUBERNETES.contains(&name.as_str())).collect())
}
