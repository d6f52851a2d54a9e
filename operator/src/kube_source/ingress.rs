//! Ingress as it is decoded: nothing but whose it is. Which classes are ours, the index knows.

use k8s_openapi::{api::networking::v1::Ingress, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::source::PackedIngress;

/// An Ingress, packed, and of its metadata what a watch needs.
#[derive(Clone, Debug, Resource)]
#[resource(inherit = Ingress)]
pub(super) struct IngressView {
    metadata: ObjectMeta,
    pub(super) packed: PackedIngress,
}

impl<'de> Deserialize<'de> for IngressView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (packed, resource_version) = PackedIngress::read(deserializer)?;
        let metadata = ObjectMeta {
            name: Some(packed.name.name.to_string()),
            namespace: Some(packed.name.namespace.to_string()),
            resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_finds_the_version_to_go_on_from() {
        let text =
            r#"{"metadata":{"namespace":"shop","name":"web","resourceVersion":"7"},"spec":{"ingressClassName":"c"}}"#;
        let view: IngressView = serde_json::from_str(text).unwrap();
        let ObjectMeta { namespace, name, resource_version, .. } = view.meta();
        assert_eq!([namespace, name, resource_version].map(Option::as_deref), [Some("shop"), Some("web"), Some("7")]);
        assert_eq!(&*view.packed.class, "c");
    }
}
