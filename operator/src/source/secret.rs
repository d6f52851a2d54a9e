//! Secret in its reduced form.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as k8s;

use super::Meta;

/// A Secret with what Envoy can use of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Namespaced.
    pub meta: Meta,
    /// `data`, by key. Keys that mean nothing to Envoy are left out.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for Secret {
    /// Keys only: values belong in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.meta.name).field("keys", &self.data.keys()).finish()
    }
}

impl From<&k8s::Secret> for Secret {
    fn from(secret: &k8s::Secret) -> Self {
        let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
        // A manifest may hold plain text; the API server turns it into `data`, a folder of YAML does not.
        let text = secret.string_data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        let data = data.chain(text).filter(|(key, _)| is_used(key));
        Self { meta: Meta::from(&secret.metadata), data: data.collect() }
    }
}

/// The keys of [`crate::credential::Credential`].
fn is_used(key: &str) -> bool {
    matches!(key, "tls.crt" | "tls.key" | "ca.crt" | "generic") || key.starts_with("tls.sessionticket.key")
}
