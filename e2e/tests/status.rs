//! An Envoy config says what became of it: in columns, to `kubectl wait`, in Envoy's words, and in Events where it has no status.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axoneme_e2e::{Answer, Cluster, From, cluster::NAMESPACE as INSTALLED, scenario, until};
use serde_json::{Value, json};

const NAMESPACE: &str = "e2e-status";
const WITHOUT: &str = "e2e-no-status";
const CRD: &str = "ciliumenvoyconfigs.cilium.io";
/// The operator looks every ten seconds for what was not there.
const NEXT_LOOK: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(30);

/// A config that passes our checks; whether Envoy takes it is up to the regex.
fn apply(cluster: &Cluster, namespace: &str, name: &str, regex: &str) -> Result<()> {
    let manifest = include_str!("manifests/status.yaml").replace("NAME", name).replace("REGEX", regex);
    cluster.apply(namespace, &manifest)
}

/// What a script would do.
fn wait(cluster: &Cluster, name: &str, limit: &str) -> Result<String> {
    let (object, limit) = (format!("ciliumenvoyconfig/{name}"), format!("--timeout={limit}"));
    cluster.kubectl(&["wait", "--for=condition=Programmed", "-n", NAMESPACE, &object, &limit])
}

fn is_served(cluster: &Cluster, namespace: &str, name: &str) -> Result<Answer> {
    let url = format!("http://{name}.{namespace}/any");
    cluster.ask_until(&format!("{name} serves"), From::Pod("node1"), &url, |it| it.body == "served\n")
}

/// The row of `kubectl get cec`, by the names of its columns.
fn row(cluster: &Cluster, name: &str) -> Result<Vec<(String, String)>> {
    let table = cluster.kubectl(&["get", "cec", "-n", NAMESPACE])?;
    let mut lines = table.lines().map(|line| line.split_whitespace().map(str::to_owned));
    let head = lines.next().context("no table")?.collect::<Vec<_>>();
    let row = lines.map(Iterator::collect::<Vec<_>>).find(|row| row[0] == name).context("no such row")?;
    ensure!(row.len() == head.len(), "a column is empty: {table}");
    Ok(head.into_iter().zip(row).filter(|(column, _)| column != "AGE").collect())
}

#[test]
fn kubectl_shows_what_became_of_a_config_and_waits_for_it() -> Result<()> {
    scenario("status", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        apply(cluster, NAMESPACE, "web", "/.*")?;
        wait(cluster, "web", "60s")?;
        let shown = row(cluster, "web")?;
        let shown = shown.iter().map(|(column, value)| format!("{column} {value}")).collect::<Vec<_>>();
        let expected = ["NAME web", "ACCEPTED True", "RESOLVED True", "PROGRAMMED True", "NODES 2/2"];
        ensure!(shown == expected, "kubectl get cec shows {shown:?}");
        is_served(cluster, NAMESPACE, "web")?;

        // Poisoned for Envoy alone: it says so in its own words, and harms nobody else.
        apply(cluster, NAMESPACE, "poisoned", "(")?;
        cluster.until_condition(NAMESPACE, "poisoned", "Accepted", "True", "valid")?;
        cluster.until_condition(NAMESPACE, "poisoned", "Programmed", "False", "missing )")?;
        let (_, message) = cluster.condition(NAMESPACE, "poisoned", "Programmed")?;
        ensure!(message.starts_with("0/2 nodes; node"), "{message}");
        ensure!(message.contains(&format!("refused {NAMESPACE}/poisoned/web: ")), "{message}");
        ensure!(wait(cluster, "poisoned", "1s").is_err(), "kubectl wait takes it for programmed");
        is_served(cluster, NAMESPACE, "web")?;
        wait(cluster, "web", "1s")?;

        apply(cluster, NAMESPACE, "poisoned", "/(a|b)")?;
        wait(cluster, "poisoned", "60s")?;
        one_manager(cluster)?;
        cluster.leave(NAMESPACE)
    })
}

/// The status is ours alone, and nothing else of the object is.
fn one_manager(cluster: &Cluster) -> Result<()> {
    let object = output(cluster, &["get", "cec", "-n", NAMESPACE, "poisoned", "-o", "json", "--show-managed-fields"])?;
    let managers = object["metadata"]["managedFields"].as_array().context("no managed fields")?;
    let ours = |entry: &&Value| entry["subresource"] == "status" || entry["manager"] == "axoneme-operator";
    let found = managers.iter().filter(ours).collect::<Vec<_>>();
    let [only] = found[..] else { bail!("not one manager of the status: {found:?}") };
    let fields = only["fieldsV1"].as_object().context("no fields")?.keys().collect::<Vec<_>>();
    ensure!(only["manager"] == "axoneme-operator" && fields == ["f:status"], "{only}");
    // Who should serve is known by the node-loader's pods.
    let account = format!("--as=system:serviceaccount:{INSTALLED}:axoneme-operator");
    cluster.kubectl(&["auth", "can-i", "watch", "pods", &account, "-n", INSTALLED]).map(drop)
}

fn output(cluster: &Cluster, args: &[&str]) -> Result<Value> {
    serde_json::from_str(&cluster.kubectl(args)?).context("kubectl printed no JSON")
}

/// Our definition, put back when the test ends, however it ends.
struct Definition<'a> {
    cluster: &'a Cluster,
    spec: Value,
}

impl<'a> Definition<'a> {
    /// Puts one in its place as Cilium has it: no status, no columns, and any spec.
    fn replace(cluster: &'a Cluster) -> Result<Self> {
        let versions = cluster.get_json(&["crd", CRD])?["spec"]["versions"].take();
        let ours = Self { cluster, spec: json!({ "spec": { "versions": versions } }) };
        patch(cluster, include_str!("manifests/cilium-crd.json"))?;
        until("the API server serves no status", SOON, || {
            ensure!(!serves_status(cluster)?, "it does");
            Ok(())
        })?;
        Ok(ours)
    }
}

impl Drop for Definition<'_> {
    fn drop(&mut self) {
        if let Err(error) = patch(self.cluster, &self.spec.to_string()) {
            println!("the definition is not put back: {error:#}");
        }
    }
}

fn patch(cluster: &Cluster, patch: &str) -> Result<()> {
    cluster.kubectl(&["patch", "crd", CRD, "--type=merge", "-p", patch]).map(drop)
}

fn serves_status(cluster: &Cluster) -> Result<bool> {
    Ok(cluster.kubectl(&["get", "--raw", "/apis/cilium.io/v2"])?.contains("\"ciliumenvoyconfigs/status\""))
}

/// Events of an object with this reason: their types, counts and messages.
fn events(cluster: &Cluster, name: &str, reason: &str) -> Result<Vec<(String, String)>> {
    let list = cluster.get_json(&["events.events.k8s.io", "-n", WITHOUT])?;
    let all = list["items"].as_array().into_iter().flatten();
    let ours = all.filter(|event| event["regarding"]["name"] == name && event["reason"] == reason);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(ours.map(|event| (text(&event["type"]), text(&event["note"]))).collect())
}

fn until_event(cluster: &Cluster, name: &str, reason: &str, expected: (&str, &str)) -> Result<()> {
    until(&format!("an Event of {name}: {reason}"), SOON, || {
        let found = events(cluster, name, reason)?;
        let (kind, words) = expected;
        ensure!(found.iter().any(|(is, note)| is == kind && note.contains(words)), "{reason}: {found:?}");
        Ok(())
    })
}

#[test]
fn without_a_status_events_carry_it() -> Result<()> {
    scenario("no-status", |cluster| {
        cluster.fresh_namespace(WITHOUT)?;
        cluster.exempt_from_the_webhook(WITHOUT)?;
        let written = |result: &str| {
            let label = format!("kind=\"CiliumEnvoyConfig\",result=\"{result}\"");
            cluster.operator_metric("axoneme_operator_writes_total", &label)
        };
        let ours = Definition::replace(cluster)?;
        let (failed, succeeded) = (written("error")?, written("ok")?);
        apply(cluster, WITHOUT, "web", "/.*")?;
        until_event(cluster, "web", "Programmed", ("Normal", "2/2 nodes"))?;
        is_served(cluster, WITHOUT, "web")?;
        apply(cluster, WITHOUT, "poisoned", "(")?;
        until_event(cluster, "poisoned", "Rejected", ("Warning", "missing )"))?;
        apply(cluster, WITHOUT, "poisoned", "/(a|b)")?;
        until_event(cluster, "poisoned", "Programmed", ("Normal", "2/2 nodes"))?;

        // A spec that nobody can read, which only such a definition lets in: what was good stays, and somebody is told.
        let unreadable = r#"{"spec": {"services": 7}}"#;
        cluster.kubectl(&["patch", "cec", "-n", WITHOUT, "web", "--type=merge", "-p", unreadable])?;
        until_event(cluster, "web", "Invalid", ("Warning", "cannot be read"))?;
        is_served(cluster, WITHOUT, "web")?;

        ensure!(events(cluster, "web", "Programmed")?.len() == 1, "told more than once");
        let object = cluster.get_json(&["cec", "-n", WITHOUT, "poisoned"])?;
        ensure!(object["status"].is_null(), "a status is written: {}", object["status"]);
        ensure!(written("error")? == failed, "writes were tried in vain");
        ensure!(written("ok")? == succeeded, "something was written to a status that is not there");

        drop(ours);
        let programmed = || cluster.condition(WITHOUT, "poisoned", "Programmed");
        until("the status is written where there is one again", NEXT_LOOK, || {
            let (status, message) = programmed()?;
            ensure!(status == "True", "{message}");
            Ok(())
        })?;
        cluster.leave(WITHOUT)
    })
}
