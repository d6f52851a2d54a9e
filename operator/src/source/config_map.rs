//! ConfigMap in its reduced form: what an IngressClass says of its Ingresses.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as k8s;

use super::Meta;

/// A ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// Namespaced.
    pub meta: Meta,
    /// `data`, by key.
    pub data: BTreeMap<String, String>,
}

impl From<&k8s::ConfigMap> for ConfigMap {
    fn from(map: &k8s::ConfigMap) -> Self {
        Self { meta: Meta::from(&map.metadata), data: map.data.clone().unwrap_or_default() }
    }
}
