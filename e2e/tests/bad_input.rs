//! Bad input is named by object, field and reason, and everything else keeps being served.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use axoneme_e2e::{Answer, Cluster, From, scenario, until};

const NAMESPACE: &str = "e2e-bad-input";
const REFUSED: &str = "e2e-refused";

/// Object of `bad-configs.yaml`, and what its author must be told.
const BAD: [(&str, [&str; 2]); 3] = [
    ("unknown-type", ["resources[0]", "type.googleapis.com/no.such.Type"]),
    ("unknown-field", ["resources[0]", "no_such_field"]),
    ("port-out-of-range", ["resources[0]", "port_value"]),
];

#[test]
fn bad_configs_are_refused_before_they_are_stored() -> Result<()> {
    scenario("webhook", |cluster| {
        cluster.fresh_namespace(REFUSED)?;
        let documents = include_str!("manifests/bad-configs.yaml").split("---\n");
        for (document, (name, words)) in documents.zip(BAD) {
            until(&format!("{name} is refused"), Duration::from_secs(20), || {
                let Err(refusal) = cluster.apply(REFUSED, document) else { bail!("{name} is stored") };
                let refusal = format!("{refusal:#}");
                ensure!(refusal.contains("is invalid"), "{refusal}");
                let missing = words.iter().find(|word| !refusal.contains(**word));
                ensure!(missing.is_none(), "{missing:?} is not in {refusal}");
                Ok(())
            })?;
        }
        cluster.leave(REFUSED)
    })
}

/// What the webhook did not see, because it was away or older, is judged by the operator.
#[test]
fn bad_configs_are_named_and_harm_nobody() -> Result<()> {
    scenario("bad-input", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        cluster.exempt_from_the_webhook(NAMESPACE)?;
        cluster.apply(NAMESPACE, include_str!("manifests/edit-config.yaml"))?;
        cluster.ready(NAMESPACE)?;
        let url = format!("http://left.{NAMESPACE}:8080/");
        let served = |it: &Answer| it.by_envoy() && it.body == "left\n";
        cluster.ask_until("the good config is served", From::Pod("node1"), &url, served)?;

        cluster.apply(NAMESPACE, include_str!("manifests/bad-configs.yaml"))?;
        for (name, words) in BAD {
            cluster.until_condition(NAMESPACE, name, "Accepted", "False", words[0])?;
            let message = cluster.condition(NAMESPACE, name, "Accepted")?.1;
            for word in words {
                ensure!(message.contains(word), "{name}: {word} is not in {message:?}");
            }
        }
        cluster.ask_until("the good config is still served", From::Pod("node2"), &url, served)?;

        // A bad edit of a good object: its last good version stays in force.
        let broken = include_str!("manifests/edit-config.yaml").replace("stat_prefix: split", "no_such_field: 1");
        cluster.apply(NAMESPACE, &broken)?;
        cluster.until_condition(NAMESPACE, "split", "Accepted", "False", "no_such_field")?;
        cluster.ask_until("its last good version is served", From::Pod("node1"), &url, served)?;
        cluster.leave(NAMESPACE)
    })
}

#[test]
fn an_ingress_without_its_service_says_so() -> Result<()> {
    scenario("missing-service", |cluster| {
        let namespace = "e2e-missing-service";
        cluster.fresh_namespace(namespace)?;
        cluster.apply(namespace, include_str!("manifests/missing-service.yaml"))?;
        cluster.ready(namespace)?;
        let address = cluster.ingress_address(namespace, "web")?;
        let ok = |it: &Answer| it.status == 200 && it.by_envoy();
        cluster.ask_until("the good path answers", From::Outside, &format!("http://{address}/good"), ok)?;
        let missing = |it: &Answer| it.status == 503 && it.by_envoy();
        cluster.ask_until(
            "the path without a Service is 503",
            From::Outside,
            &format!("http://{address}/missing"),
            missing,
        )?;
        until("an Event names the Service", Duration::from_secs(20), || event(cluster, namespace))?;
        // As people do it: all at once.
        cluster.kubectl(&["delete", "namespace", namespace]).map(drop)
    })
}

/// Events come in any order, and more than one: the Ingress may be seen before the Service that it does have.
fn event(cluster: &Cluster, namespace: &str) -> Result<()> {
    let events = cluster.get_json(&["events", "-n", namespace, "--field-selector", "involvedObject.kind=Ingress"])?;
    let named = events["items"].as_array().into_iter().flatten().any(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["reason"] == "ServiceNotFound" && event["type"] == "Warning" && message.contains("no-such-service")
    });
    ensure!(named, "no such Event: {events}");
    Ok(())
}
