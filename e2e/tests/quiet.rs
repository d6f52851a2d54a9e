//! Nothing is written that changes nothing: not by a restart, not by a change of leader, not for edits that concern nobody.

use std::{
    cell::Cell,
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use axoneme_e2e::{Answer, Cluster, From, certificates::tls_secret, cluster::NAMESPACE as INSTALLED, scenario, until};

const NAMESPACE: &str = "e2e-quiet";
const OPERATORS: &str = "app.kubernetes.io/name=axoneme-operator";
const LIMIT: Duration = Duration::from_secs(120);
/// The operator waits 30 s for nodes.
const LATE: Duration = Duration::from_secs(20);
const ATTEMPTS: usize = 3;
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

        let probe = Probe { cluster, number: Cell::new(0) };
        probe.writes_nothing(&format!("{EDITS} edits that mean nothing"), || {
            let edit = |at| include_str!("manifests/quiet.yaml").replace("edit: \"0\"", &format!("edit: \"{at}\""));
            cluster.apply(NAMESPACE, &(1..=EDITS).map(edit).collect::<Vec<_>>().join("---\n"))
        })?;
        probe.writes_nothing("another leader", || {
            let holder = holder(cluster)?;
            cluster.kubectl(&["delete", "pod", "-n", INSTALLED, &holder])?;
            gone(cluster, &BTreeSet::from([holder]))
        })?;
        probe.writes_nothing("a restart of all replicas", || {
            let all = operators(cluster)?;
            cluster.kubectl(&["delete", "pod", "-n", INSTALLED, "-l", OPERATORS])?;
            gone(cluster, &all)
        })?;
        cluster.leave(NAMESPACE)
    })
}

/// An object that is edited to see that everything before was told.
struct Probe<'a> {
    cluster: &'a Cluster,
    number: Cell<usize>,
}

impl Probe<'_> {
    /// Does something, and fails with what was written, but for the probe's own. A node may come so late to another leader that a
    /// status says so, and rightly: then once more.
    fn writes_nothing(&self, what: &str, act: impl Fn() -> Result<()>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            // Twice: what was on its way the first time has arrived by the second.
            self.settled()?;
            self.settled()?;
            let mark = self.cluster.audit_mark()?;
            act()?;
            let start = Instant::now();
            self.settled()?;
            let late = start.elapsed() > LATE;
            let mut written = self.cluster.written_since(mark)?;
            written.retain(|it| !it.ends_with(&format!(" {NAMESPACE}/probe")));
            if written.is_empty() {
                println!("{what}: nothing written");
                return Ok(());
            }
            let told = written.iter().all(|it| it.contains("envoyconfigs/status"));
            ensure!(late && told, "{what}: {} writes: {written:#?}", written.len());
            println!("{what}: nodes came late, and {written:?} said so");
        }
        bail!("{what}: nodes came late {ATTEMPTS} times");
    }

    /// Whoever leads knows both nodes, has told what the probe's new generation became, and nothing waits to be written.
    fn settled(&self) -> Result<()> {
        self.number.set(self.number.get() + 1);
        let probe = include_str!("manifests/quiet-probe.yaml").replace("NUMBER", &self.number.get().to_string());
        self.cluster.apply(NAMESPACE, &probe)?;
        until("the probe is told of", LIMIT, || {
            let (status, message) = self.cluster.condition(NAMESPACE, "probe", "Programmed")?;
            ensure!(status == "True" && message.contains("2/2"), "{status}: {message}");
            Ok(())
        })?;
        until("no write waits", LIMIT, || {
            let waiting = self.cluster.operator_metric("axoneme_operator_writes_pending", "")?;
            ensure!(waiting == 0.0, "{waiting} writes wait");
            Ok(())
        })
    }
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
