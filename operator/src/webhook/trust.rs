//! How the API server comes to trust the webhook: our authority in the `caBundle` of its configuration.
//!
//! Every replica that does not find its authority there adds it, next to the one before. So replicas with the old and the
//! new authority are trusted while it changes, whichever of them looks first, and none takes another's away. A replica that
//! finds itself writes nothing.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use axoneme_api::names;
use futures::StreamExt as _;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    ca::bundle,
    metrics::{self, http::Gate},
    timer::at,
};

/// When a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps `authority` (PEM) in the configuration [`names::WEBHOOK`] until `shutdown`. A configuration that is not there, or
/// comes later, or is applied anew, is no special case.
///
/// `gate` opens when that was looked at once: a replica that is not trusted yet must not be asked.
///
/// # Errors
/// [`WatchEnded`], which it never should.
pub async fn run(client: Client, authority: String, gate: Gate, shutdown: CancellationToken) -> Result<(), WatchEnded> {
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
            () = at(due) => {}
        }
        due = None;
        let Some(patch) = seen.as_ref().and_then(|configuration| missing(configuration, &authority)) else {
            gate.take().into_iter().for_each(Gate::open);
            continue;
        };
        let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
        match api.patch(names::WEBHOOK, &parameters, &Patch::Apply(&patch)).await {
            Ok(_) => tracing::info!(configuration = names::WEBHOOK, "the API server trusts this replica's webhook"),
            Err(error) => {
                ::metrics::counter!(metrics::TRUST_FAILURES).increment(1);
                tracing::warn!(%error, configuration = names::WEBHOOK, "publishing the webhook's authority failed, trying again");
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

/// What to apply so that every webhook trusts `authority`; nothing when all do. All webhooks are in it, for server-side
/// apply takes back what a later apply of the same manager leaves out.
fn missing(configuration: &ValidatingWebhookConfiguration, authority: &str) -> Option<Value> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    if webhooks.iter().all(|webhook| trusted(webhook).contains(authority.trim())) {
        return None;
    }
    let trust = |webhook: &ValidatingWebhook| {
        let bundle = ByteString(bundle(authority, &trusted(webhook)).into_bytes());
        json!({ "name": webhook.name, "clientConfig": { "caBundle": bundle } })
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
        let patch = missing(&configuration(bundles), authority)?;
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
}
