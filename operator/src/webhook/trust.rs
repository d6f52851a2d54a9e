//! How the API server comes to trust the webhook, our authority in the `caBundle` of its configuration, and to ask it about no
//! Ingress of others.
//!
//! Every replica that does not find its authority there adds it, next to the one before. So replicas with the old and the
//! new authority are trusted while it changes, whichever of them looks first, and none takes another's away. A replica that
//! finds itself writes nothing. The classes that are ours are written by the replica that leads; the others leave what is there.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use axoneme_api::names;
use futures::StreamExt as _;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MatchCondition, ValidatingWebhook, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::classes::{self, Classes};
use crate::{
    ca::bundle,
    metrics::{self, http::Gate},
    timer::at,
};

/// When a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What is to stand in the configuration.
#[derive(Debug)]
pub struct Wiring {
    /// Our authority, PEM.
    pub authority: String,
    /// The classes that are ours; `None` while they are not known.
    pub classes: watch::Receiver<Option<Classes>>,
    /// Whether this replica writes them.
    pub leading: watch::Receiver<bool>,
}

/// Keeps that in the configuration [`names::WEBHOOK`] until `shutdown`. A configuration that is not there, or comes later, or is
/// applied anew, is no special case.
///
/// `gate` opens when that was looked at once: a replica that is not trusted yet must not be asked.
///
/// # Errors
/// [`WatchEnded`], which it never should.
pub async fn run(client: Client, wiring: Wiring, gate: Gate, shutdown: CancellationToken) -> Result<(), WatchEnded> {
    let Wiring { authority, mut classes, mut leading } = wiring;
    let mut gate = Some(gate);
    let api = Api::<ValidatingWebhookConfiguration>::all(client);
    let mut changes = pin!(watcher::watch_object(api.clone(), names::WEBHOOK).default_backoff());
    let mut seen = None;
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            change = changes.next() => match change {
                Some(Ok(configuration)) => seen = configuration,
                Some(Err(error)) => {
                    tracing::warn!(%error, configuration = names::WEBHOOK, "watching the webhook's configuration failed");
                    continue;
                }
                None => return Err(WatchEnded),
            },
            Ok(()) = classes.changed() => {}
            Ok(()) = leading.changed() => {}
            () = at(due) => {}
        }
        due = None;
        let known = classes.borrow_and_update().as_ref().map(classes::condition);
        let known = known.filter(|_| *leading.borrow_and_update());
        let Some(patch) = seen.as_ref().and_then(|it| missing(it, &authority, known.as_ref())) else {
            gate.take().into_iter().for_each(Gate::open);
            continue;
        };
        let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
        match api.patch(names::WEBHOOK, &parameters, &Patch::Apply(&patch)).await {
            Ok(_) => {
                let condition = known.as_ref().map(|it| it.expression.as_str());
                tracing::info!(
                    configuration = names::WEBHOOK,
                    condition,
                    "the API server trusts this replica's webhook"
                );
            }
            Err(error) => {
                ::metrics::counter!(metrics::TRUST_FAILURES).increment(1);
                tracing::warn!(%error, configuration = names::WEBHOOK, "writing the webhook's authority and classes failed, trying again");
                due = Some(Instant::now() + AGAIN);
            }
        }
        // Also when it failed: nodes do not depend on the webhook.
        gate.take().into_iter().for_each(Gate::open);
    }
}

/// The watch ended.
#[derive(Debug, thiserror::Error)]
#[error("the watch of the webhook configuration {} ended", names::WEBHOOK)]
pub struct WatchEnded;

/// What to apply so that every webhook trusts `authority` and that for Ingresses has the condition, if that is `known`; nothing
/// when all is so. All webhooks are in it, for server-side apply takes back what a later apply of the same manager leaves out.
fn missing(
    configuration: &ValidatingWebhookConfiguration,
    authority: &str,
    known: Option<&MatchCondition>,
) -> Option<Value> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let is_complete = |webhook: &ValidatingWebhook| {
        trusted(webhook).contains(authority.trim()) && classes::wanted(webhook, known) == classes::present(webhook)
    };
    if webhooks.iter().all(is_complete) {
        return None;
    }
    let trust = |webhook: &ValidatingWebhook| {
        let trusted = trusted(webhook);
        let is_there = trusted.contains(authority.trim());
        let bundle = ByteString(if is_there { trusted } else { bundle(authority, &trusted) }.into_bytes());
        let mut wanted = json!({ "name": webhook.name, "clientConfig": { "caBundle": bundle } });
        if let Some(condition) = classes::wanted(webhook, known) {
            wanted["matchConditions"] = json!([condition]);
        }
        wanted
    };
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": names::WEBHOOK },
        "webhooks": webhooks.iter().map(trust).collect::<Vec<_>>(),
    }))
}

fn trusted(webhook: &ValidatingWebhook) -> String {
    let bundle = webhook.client_config.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice());
    String::from_utf8_lossy(bundle.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn configuration(bundles: &[&str]) -> ValidatingWebhookConfiguration {
        let webhook = |(at, bundle): (usize, &&str)| {
            json!({
                "name": format!("w{at}"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "caBundle": BASE64_STANDARD.encode(bundle) },
            })
        };
        let webhooks: Vec<_> = bundles.iter().enumerate().map(webhook).collect();
        serde_json::from_value(json!({ "webhooks": webhooks })).unwrap()
    }

    /// What the configuration's webhooks trust after a replica with `authority` looked at it.
    fn after(bundles: &[&str], authority: &str) -> Option<Vec<String>> {
        let patch = missing(&configuration(bundles), authority, None)?;
        let bundle = |webhook: &Value| {
            let text = webhook["clientConfig"]["caBundle"].as_str().unwrap();
            String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
        };
        Some(patch["webhooks"].as_array().unwrap().iter().map(bundle).collect())
    }

    #[test]
    fn every_webhook_gets_the_authority_and_none_is_written_twice() {
        assert_eq!(after(&["", ""], &pem("one")), Some(vec![pem("one"); 2]));
        assert_eq!(after(&[&pem("one"), ""], &pem("one")), Some(vec![pem("one"); 2]));
        assert_eq!(after(&[&pem("one"), &pem("one")], &pem("one")), None);
        assert_eq!(after(&[], &pem("one")), None);
    }

    #[test]
    fn replicas_of_the_old_and_the_new_authority_do_not_quarrel() {
        let both = pem("two") + &pem("one");
        assert_eq!(after(&[&pem("one")], &pem("two")), Some(vec![both.clone()]));
        assert_eq!(after(&[&both], &pem("one")), None);
        assert_eq!(after(&[&both], &pem("two")), None);
    }

    /// The conditions of two webhooks, the second of which is that for Ingresses, after a replica looked that `known` this.
    fn conditions(present: Option<&MatchCondition>, known: Option<&MatchCondition>) -> Option<Vec<Value>> {
        let mut configuration = configuration(&[&pem("one"), &pem("one")]);
        let ingresses = &mut configuration.webhooks.as_mut().unwrap()[1];
        ingresses.name = names::INGRESS_WEBHOOK.to_owned();
        ingresses.match_conditions = present.map(|it| vec![it.clone()]);
        let patch = missing(&configuration, &pem("one"), known)?;
        for webhook in patch["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["clientConfig"]["caBundle"], json!(BASE64_STANDARD.encode(pem("one"))));
        }
        Some(patch["webhooks"].as_array().unwrap().iter().map(|it| it["matchConditions"].clone()).collect())
    }

    #[test]
    fn who_leads_writes_the_classes_and_others_leave_them() {
        let condition = |class: &str| classes::condition(&[class.to_owned()].into());
        let (one, other) = (condition("one"), condition("other"));
        assert_eq!(conditions(None, Some(&one)), Some(vec![Value::Null, json!([one])]));
        assert_eq!(conditions(Some(&one), Some(&other)), Some(vec![Value::Null, json!([other])]));
        assert_eq!(conditions(Some(&one), Some(&one)), None);
        assert_eq!(conditions(Some(&one), None), None);
    }

    #[test]
    fn a_replica_with_a_new_authority_keeps_the_classes() {
        let mut configuration = configuration(&[&pem("one")]);
        let condition = classes::condition(&["one".to_owned()].into());
        configuration.webhooks.as_mut().unwrap()[0].match_conditions = Some(vec![condition.clone()]);
        let patch = missing(&configuration, &pem("two"), None).unwrap();
        assert_eq!(patch["webhooks"][0]["matchConditions"], json!([condition]));
    }
}
