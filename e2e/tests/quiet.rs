//! Nothing is written that changes nothing: not by a restart, not by a change of leader, not for edits that concern nobody.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    Answer, Cluster, From, audit::Mark, certificates::tls_secret, cluster::NAMESPACE as INSTALLED, scenario, until,
};

const NAMESPACE: &str = "e2e-quiet";
const OPERATORS: &str = "app.kubernetes.io/name=axoneme-operator";
const LIMIT: Duration = Duration::from_secs(120);
/// Edits of an annotation that means nothing.
const EDITS: usize = 100;

#[test]
fn a_restart_a_change_of_leader_and_edits_that_mean_nothing_write_nothing() -> Result<()> {
    scenario("quiet", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        let begin = cluster.audit_mark()?;
        let secret = tls_secret("web", &["web.example"])?.to_string();
        for manifest in [&secret, include_str!("manifests/edit-config.yaml"), include_str!("manifests/quiet.yaml")] {
            cluster.apply(NAMESPACE, manifest)?;
        }
        cluster.ready(NAMESPACE)?;
        cluster.until_condition(NAMESPACE, "split", "Programmed", "True", "2/2")?;
        let url = format!("http://{}/", cluster.ingress_address(NAMESPACE, "web")?);
        cluster.ask_until("the Ingress is served", From::Outside, &url, Answer::by_envoy)?;
        let first = cluster.written_since(begin)?;
        for kind in ["services", "endpointslices", "ingresses/status", "ciliumenvoyconfigs/status"] {
            ensure!(first.iter().any(|it| it.contains(kind)), "no write of {kind} is in the audit log: {first:?}");
        }

        // Twice: what was on its way the first time has arrived by the second.
        settled(cluster, 0)?;
        let mark = settled(cluster, 1)?;
        let edit = |number| include_str!("manifests/quiet.yaml").replace("edit: \"0\"", &format!("edit: \"{number}\""));
        cluster.apply(NAMESPACE, &(1..=EDITS).map(edit).collect::<Vec<_>>().join("---\n"))?;
        let mark = nothing_written(cluster, &format!("{EDITS} edits that mean nothing"), mark, 2)?;

        let (holder, all) = (holder(cluster)?, operators(cluster)?);
        cluster.kubectl(&["delete", "pod", "-n", INSTALLED, &holder])?;
        gone(cluster, &BTreeSet::from([holder]))?;
        let mark = nothing_written(cluster, "another leader", mark, 3)?;

        cluster.kubectl(&["delete", "pod", "-n", INSTALLED, "-l", OPERATORS])?;
        gone(cluster, &all)?;
        nothing_written(cluster, "a restart of all replicas", mark, 4)?;
        cluster.kubectl(&["delete", "namespace", NAMESPACE]).map(drop)
    })
}

/// Fails with what was written but for the probe's own; what comes next counts from here.
fn nothing_written(cluster: &Cluster, what: &str, since: Mark, probe: usize) -> Result<Mark> {
    let mark = settled(cluster, probe)?;
    let mut written = cluster.written_since(since)?;
    written.retain(|it| !it.ends_with(&format!(" {NAMESPACE}/probe")));
    ensure!(written.is_empty(), "{what}: {} writes: {written:#?}", written.len());
    println!("{what}: nothing written");
    Ok(mark)
}

/// Whoever leads knows both nodes, has told what the probe's new generation became, and nothing waits to be written.
fn settled(cluster: &Cluster, number: usize) -> Result<Mark> {
    let probe = include_str!("manifests/quiet-probe.yaml").replace("NUMBER", &number.to_string());
    cluster.apply(NAMESPACE, &probe)?;
    until("the probe is told of", LIMIT, || {
        let (status, message) = cluster.condition(NAMESPACE, "probe", "Programmed")?;
        ensure!(status == "True" && message.contains("2/2"), "{status}: {message}");
        Ok(())
    })?;
    until("no write waits", LIMIT, || {
        let waiting = cluster.operator_metric("axoneme_operator_writes_pending", "")?;
        ensure!(waiting == 0.0, "{waiting} writes wait");
        cluster.audit_mark()
    })
}

/// The pod that holds the lease.
fn holder(cluster: &Cluster) -> Result<String> {
    let lease = cluster.get_json(&["lease", "-n", INSTALLED, "axoneme-operator"])?;
    let holder = lease["spec"]["holderIdentity"].as_str().context("nobody holds the lease")?;
    let all = operators(cluster)?;
    let pod = all.into_iter().find(|pod| holder.contains(pod.as_str()));
    pod.with_context(|| format!("{holder} is no pod of the operator"))
}

fn operators(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let names = "jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", "-n", INSTALLED, "-l", OPERATORS, "-o", names])?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// Waits until these pods are replaced by others that are ready.
fn gone(cluster: &Cluster, old: &BTreeSet<String>) -> Result<()> {
    until("others are in their place", LIMIT, || {
        let now = operators(cluster)?;
        ensure!(now.is_disjoint(old) && now.len() == 2, "{now:?}");
        Ok(())
    })?;
    cluster.kubectl(&["rollout", "status", "-n", INSTALLED, "deployment/axoneme-operator", "--timeout=120s"])?;
    until("the lease is with one of them", LIMIT, || {
        ensure!(!old.contains(&holder(cluster)?), "an old one holds it");
        Ok(())
    })
}
