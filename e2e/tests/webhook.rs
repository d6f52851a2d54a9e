//! The webhook while the operator's replicas are replaced one by one: as on an upgrade, and with a new authority.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use axoneme_e2e::{Answer, Cluster, From, cluster::NAMESPACE as INSTALLED, scenario, until};
use serde_json::json;

const DEPLOYMENT: &str = "deployment/axoneme-operator";
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn replicas_are_replaced_and_nobody_is_refused_without_a_reason() -> Result<()> {
    scenario("webhook-restart", |cluster| replaced(cluster, "e2e-webhook-restart", |_| Ok(())))
}

#[test]
fn the_authority_is_replaced_and_the_webhook_goes_on() -> Result<()> {
    scenario("webhook-rotation", |cluster| {
        let before = authority(cluster)?;
        replaced(cluster, "e2e-webhook-rotation", |cluster| {
            cluster.kubectl(&["delete", "secret", "-n", INSTALLED, "axoneme-ca"]).map(drop)
        })?;
        let after = authority(cluster)?;
        ensure!(before.contains("BEGIN") && before != after, "the replicas have the old authority");
        let template = "-o=go-template={{range .webhooks}}{{.clientConfig.caBundle | base64decode}}@{{end}}";
        let bundles = cluster.kubectl(&["get", "validatingwebhookconfiguration", "axoneme-operator", template])?;
        let trusted = bundles.split_terminator('@').all(|bundle| bundle.contains(after.trim()));
        ensure!(trusted, "the new authority is not in {bundles}");
        Ok(())
    })
}

/// Right and wrong configs are applied while all replicas are replaced. The right ones are stored, every one, and run in the
/// end. Of the wrong ones none is ever in force: it is refused, or, when no webhook was to be had for a moment, stored and
/// named by the operator ([ADR 12](../../docs/adr/0012-webhook-ignores-failure.md)).
fn replaced(cluster: &Cluster, namespace: &str, before: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    cluster.fresh_namespace(namespace)?;
    apply_right(cluster, namespace, 0)?;
    programmed(cluster, namespace)?;
    until("the webhook refuses", LIMIT, || {
        ensure!(!is_stored(cluster, namespace, "before")?, "it does not");
        Ok(())
    })?;

    before(cluster)?;
    cluster.kubectl(&["rollout", "restart", "-n", INSTALLED, DEPLOYMENT])?;
    let mut rollout = cluster.kubectl_command();
    rollout.args(["rollout", "status", "-n", INSTALLED, DEPLOYMENT, "--timeout=120s"]);
    let mut rollout = rollout.stdout(Stdio::null()).spawn().context("start kubectl")?;
    let (mut round, mut stored) = (0, Vec::new());
    let ended = loop {
        round += 1;
        let applied = apply_right(cluster, namespace, round).and_then(|()| {
            let name = format!("wrong-{round}");
            Ok(is_stored(cluster, namespace, &name)?.then_some(name))
        });
        match applied {
            Ok(name) => stored.extend(name),
            Err(error) => {
                rollout.kill()?;
                rollout.wait()?;
                return Err(error);
            }
        }
        if let Some(ended) = rollout.try_wait()? {
            break ended;
        }
    };
    ensure!(ended.success(), "the replicas are not replaced: {ended}");
    println!("{round} right and {round} wrong configs applied meanwhile; {} of the wrong ones stored", stored.len());

    // So that a new authority is seen at once, and not with the kubelet's next look.
    let touched = format!("axoneme.io/e2e-touched={namespace}");
    let nodes = "app.kubernetes.io/name=axoneme-node";
    cluster.kubectl(&["annotate", "pods", "-n", INSTALLED, "-l", nodes, "--overwrite", &touched])?;
    programmed(cluster, namespace)?;
    let url = format!("http://right.{namespace}/round-{round}");
    let served = |it: &Answer| it.body == "served\n";
    cluster.ask_until("the last right config serves", From::Pod("node1"), &url, served)?;
    for name in stored {
        cluster.until_condition(namespace, &name, "Accepted", "False", "no_such_field")?;
    }
    until("the webhook refuses again", LIMIT, || {
        ensure!(!is_stored(cluster, namespace, "after")?, "it does not");
        Ok(())
    })?;
    cluster.leave(namespace)
}

/// Each round another version of the one right config.
fn apply_right(cluster: &Cluster, namespace: &str, round: u32) -> Result<()> {
    let manifest = include_str!("manifests/status.yaml").replace("NAME", "right");
    cluster.apply(namespace, &manifest.replace("REGEX", &format!("/round-{round}")))
}

/// Applies a wrong config. It may only be refused for what is wrong with it.
fn is_stored(cluster: &Cluster, namespace: &str, name: &str) -> Result<bool> {
    let cluster_type = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let wrong = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEnvoyConfig", "metadata": { "name": name },
        "spec": { "resources": [{ "@type": cluster_type, "name": "c", "no_such_field": 1 }] },
    });
    match cluster.apply(namespace, &wrong.to_string()) {
        Ok(()) => Ok(true),
        Err(refusal) if format!("{refusal:#}").contains("no_such_field") => Ok(false),
        Err(other) => bail!("{name} is refused for another reason: {other:#}"),
    }
}

/// Waits until every node runs the last version of the right config.
fn programmed(cluster: &Cluster, namespace: &str) -> Result<()> {
    until("every node runs the last right config", LIMIT, || {
        let (status, message) = cluster.condition(namespace, "right", "Programmed")?;
        ensure!(status == "True" && message.starts_with("2/2 nodes"), "Programmed is {status}: {message}");
        Ok(())
    })
}

/// The certificate that replicas have now.
fn authority(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&[
        "get",
        "secret",
        "-n",
        INSTALLED,
        "axoneme-ca",
        r#"-o=go-template={{index .data "tls.crt" | base64decode}}"#,
    ])
}
