//! What every object carries: who it is, how old it is, and whether it is on its way out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::Name;

/// The part of `metadata` that decisions rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Namespace and name.
    pub name: Name,
    /// Needed for owner references. Absent in a folder of YAML.
    pub uid: Option<String>,
    /// The spec's version, for `observedGeneration`.
    pub generation: Option<i64>,
    /// Creation in seconds since 1970, 0 when unknown. The older object wins a conflict.
    pub created: i64,
    /// Somebody deletes it and waits for its dependents to go (`deletionTimestamp` is set).
    pub deleting: bool,
}

impl Meta {
    /// A meta of nothing but a name.
    #[must_use]
    pub fn named(namespace: &str, name: &str) -> Self {
        Self { name: Name::new(namespace, name), uid: None, generation: None, created: 0, deleting: false }
    }
}

impl From<&ObjectMeta> for Meta {
    fn from(meta: &ObjectMeta) -> Self {
        Self {
            name: Name::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default()),
            uid: meta.uid.clone(),
            generation: meta.generation,
            created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            deleting: meta.deletion_timestamp.is_some(),
        }
    }
}
