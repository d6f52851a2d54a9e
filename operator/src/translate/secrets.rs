//! Secrets of Kubernetes as Envoy secrets, for the SDS references of Envoy configs and the certificates of Ingresses.
//!
//! An SDS name `namespace/secret` means the Secret; `cilium-secrets/<namespace>-<secret>`, as Cilium's own copies are
//! called, means the same one. Only Secrets of the object's own namespace are given out.

use std::collections::BTreeMap;

use axoneme_envoy::{EnvoyResource, Refs, ResourceKind, decode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Output, problem};
use crate::credential::{Credential, ticket_keys};
use crate::index::{Held, Index};
use crate::problem::{Problem, Reason};
use crate::source::{EnvoyConfig, Name, Secret};

/// The namespace of Cilium's copies.
const COPIES: &str = "cilium-secrets";

/// What an SDS name means in an object of namespace `own`, which is empty for a clusterwide one.
enum Meaning {
    /// A Secret of Kubernetes.
    Secret(Name),
    /// A Secret that the object has no right to.
    Foreign,
    /// A resource of some Envoy config.
    Resource,
}

fn meaning(own: &str, sds: &str) -> Meaning {
    match sds.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.contains('/') => {
            if own.is_empty() || namespace == own {
                return Meaning::Secret(Name::new(namespace, name));
            }
            let copy = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('-'));
            let copy = copy.filter(|_| namespace == COPIES);
            copy.map_or(Meaning::Foreign, |name| Meaning::Secret(Name::new(own, name)))
        }
        _ => Meaning::Resource,
    }
}

/// Secrets that an object names and does not define itself, by SDS name, with the naming field.
///
/// # Errors
///
/// Names that the object has no right to.
pub(super) fn named(
    config: &EnvoyConfig,
    resources: &[EnvoyResource],
    refs: &[Refs],
) -> (BTreeMap<String, (Name, String)>, Vec<Problem>) {
    let own = &*config.meta.name.namespace;
    let defined = |name: &str| resources.iter().any(|it| it.kind() == ResourceKind::Secret && it.name() == name);
    let (mut secrets, mut problems) = (BTreeMap::new(), Vec::new());
    for (sds, field) in refs.iter().flat_map(|refs| &refs.secrets).filter(|(name, _)| !defined(name)) {
        match meaning(own, sds) {
            Meaning::Secret(name) => drop(secrets.insert(sds.clone(), (name, field.clone()))),
            Meaning::Foreign => {
                let why = format!("{sds} is no Secret of namespace {own:?}, and only those can be used here");
                problems.push(Problem::error(Reason::NotPermitted, field.clone(), why));
            }
            Meaning::Resource => {}
        }
    }
    (secrets, problems)
}

/// Puts the Secrets that exist into the output, and says which do not or cannot be used.
pub(super) fn put(secrets: &BTreeMap<String, (Name, String)>, index: &Index, output: &mut Output) {
    for (sds, (name, field)) in secrets {
        let Some(held) = index.secret(name) else {
            let why = format!("Secret {name} does not exist; what needs it waits for it");
            output.problems.push(Problem::error(Reason::ResourceNotFound, field, why));
            continue;
        };
        if let Some(wrong) = held.wrong() {
            let so = match held.in_force() {
                Some(_) => "its last good version stays in force",
                None => "what needs it waits for it",
            };
            let why = format!("Secret {name} {wrong}; {so}");
            output.problems.push(Problem::error(Reason::InvalidSecret, field, why));
        }
        let Some(json) = held.in_force().and_then(|secret| envoy_secret(sds, secret)) else { continue };
        match decode(&json, field) {
            Ok(resource) => output.put(ResourceKind::Secret, &resource, false, None),
            Err(wrong) => output.problems.extend(wrong.iter().map(problem)),
        }
    }
}

/// Puts the version in force of one Secret into the output, if there is one. What is wrong with it, others have told.
pub(super) fn put_in_force(sds: &str, name: &Name, index: &Index, output: &mut Output) {
    let Some(json) = index.secret(name).and_then(Held::in_force).and_then(|secret| envoy_secret(sds, secret)) else {
        return;
    };
    match decode(&json, "") {
        Ok(resource) => output.put(ResourceKind::Secret, &resource, false, None),
        Err(wrong) => output.problems.extend(wrong.iter().map(problem)),
    }
}

fn envoy_secret(sds: &str, secret: &Secret) -> Option<Value> {
    let inline = |bytes: &[u8]| json!({ "inline_bytes": BASE64_STANDARD.encode(bytes) });
    let (kind, content) = match Credential::of(secret).ok()? {
        Credential::Certificate { chain, key } => {
            ("tls_certificate", json!({ "certificate_chain": inline(chain), "private_key": inline(key) }))
        }
        Credential::Authority(authority) => ("validation_context", json!({ "trusted_ca": inline(authority) })),
        Credential::TicketKeys(_) => {
            let keys: Vec<_> = ticket_keys(secret).map(inline).collect();
            ("session_ticket_keys", json!({ "keys": keys }))
        }
        Credential::Generic(bytes) => ("generic_secret", json!({ "secret": inline(bytes) })),
    };
    Some(json!({ "@type": ResourceKind::Secret.type_url(), "name": sds, kind: content }))
}
