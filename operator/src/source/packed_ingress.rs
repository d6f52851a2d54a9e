//! An Ingress as the API server wrote it, of which nothing was read but whose it is.
//!
//! Most Ingresses of a cluster may be other controllers'. To decode one costs many times what it takes to find its class, so
//! its text is kept, without what nobody needs, for the day on which its class is ours.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axoneme_api::names;
use k8s_openapi::api::networking::v1 as k8s;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use super::{Ingress, Name, ingress::LAST_APPLIED};

/// An Ingress that is not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedIngress {
    /// Namespace and name.
    pub name: Name,
    /// The class that it names, empty for none.
    pub class: Box<str>,
    /// Its status is one that we wrote, and nobody else since.
    pub shows_ours: bool,
    /// The object as JSON.
    text: Box<str>,
}

impl PackedIngress {
    /// Reads what says whose an Ingress is, out of JSON that is in memory. Costs a look at each byte. The version of the stored
    /// object comes along.
    ///
    /// # Errors
    /// For what is no object with metadata.
    pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<(Self, Option<String>), D::Error> {
        let mut whole = Whole::deserialize(from)?;
        let class = whole.class().map_err(D::Error::custom)?.into();
        let metadata = &mut whole.metadata;
        let version = metadata.resource_version.take();
        let shows_ours = metadata.managed_fields.take().into_iter().flatten().any(|entry| entry.is_status_ours());
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        let name = Name::new(metadata.namespace.as_deref().unwrap_or_default(), &metadata.name);
        let text = serde_json::to_string(&whole).map_err(D::Error::custom)?.into_boxed_str();
        Ok((Self { name, class, shows_ours, text }, version))
    }

    /// The Ingress. Costs its size.
    ///
    /// # Errors
    /// When a field is not what the API says it is.
    pub fn unpack(&self) -> serde_json::Result<Ingress> {
        unpack(&self.text, self.shows_ours)
    }

    /// Its text alone, for [`unpack`].
    pub(crate) fn into_text(self) -> Box<str> {
        self.text
    }
}

/// The Ingress in a text of [`PackedIngress`].
pub(crate) fn unpack(text: &str, shows_ours: bool) -> serde_json::Result<Ingress> {
    let object: k8s::Ingress = serde_json::from_str(text)?;
    Ok(Ingress { shows_ours, ..Ingress::from(&object) })
}

/// The object, in parts that are passed on as they are written.
#[derive(Deserialize, Serialize)]
struct Whole<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(default)]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    uid: Option<&'a RawValue>,
    #[serde(default, skip_serializing)]
    resource_version: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    generation: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    labels: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(borrow, default, skip_serializing)]
    managed_fields: Option<Vec<Manager<'a>>>,
}

#[derive(Deserialize)]
struct Manager<'a> {
    #[serde(borrow, default)]
    manager: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
    #[serde(borrow, default, rename = "fieldsV1")]
    fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    ingress_class_name: Option<String>,
}

impl Whole<'_> {
    /// The annotation wins over the field, also when it is empty.
    fn class(&self) -> serde_json::Result<String> {
        let annotations = self.metadata.annotations.as_ref();
        if let Some(legacy) = annotations.and_then(|all| all.get(names::LEGACY_CLASS_ANNOTATION)) {
            return serde_json::from_str(legacy.get());
        }
        let spec = self.spec.map(|spec| serde_json::from_str::<Option<Spec>>(spec.get())).transpose()?.flatten();
        Ok(spec.and_then(|spec| spec.ingress_class_name).unwrap_or_default())
    }
}

impl Manager<'_> {
    /// Whether this is our apply of `status.loadBalancer.ingress`.
    fn is_status_ours(&self) -> bool {
        let is_ours = self.manager == names::FIELD_MANAGER && self.operation == "Apply" && self.subresource == "status";
        let fields = self.fields.filter(|_| is_ours).and_then(|fields| serde_json::from_str(fields.get()).ok());
        fields.is_some_and(|fields: serde_json::Value| fields.pointer("/f:status/f:loadBalancer/f:ingress").is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::index::class_of;

    fn manifest() -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "namespace": "shop", "name": "web", "uid": "u", "generation": 3, "resourceVersion": "42",
                "labels": { "a": "b" }, "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionTimestamp": "2026-01-02T00:00:00Z",
                "annotations": { "ingress.cilium.io/force-https": "true", "x": "\"y\"", LAST_APPLIED: "{}" },
                "managedFields": [
                    { "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": {} } },
                    { "manager": "axoneme-operator", "operation": "Apply", "subresource": "status",
                      "fieldsV1": { "f:status": { "f:loadBalancer": { "f:ingress": {} } } } },
                ],
            },
            "spec": {
                "ingressClassName": "nginx",
                "defaultBackend": { "resource": { "apiGroup": "g", "kind": "Bucket", "name": "b" } },
                "rules": [{ "host": "a.example", "http": { "paths": [
                    { "path": "/", "pathType": "Exact", "backend": { "service": { "name": "s", "port": { "name": "p" } } } },
                ] } }],
                "tls": [{ "hosts": ["a.example"], "secretName": "s" }],
            },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } },
        })
    }

    fn read(manifest: &Value) -> PackedIngress {
        versioned(manifest).unwrap().0
    }

    fn versioned(manifest: &Value) -> serde_json::Result<(PackedIngress, Option<String>)> {
        PackedIngress::read(&mut serde_json::Deserializer::from_str(&manifest.to_string()))
    }

    #[test]
    fn what_is_unpacked_is_what_decoding_the_whole_gives() {
        let whole: k8s::Ingress = serde_json::from_value(manifest()).unwrap();
        let (packed, version) = versioned(&manifest()).unwrap();
        assert_eq!((packed.name.to_string().as_str(), version.as_deref()), ("shop/web", Some("42")));
        assert_eq!(packed.unpack().unwrap(), Ingress::from(&whole));
        assert!(packed.shows_ours);
        assert!(!packed.text.contains("kubectl"), "{}", packed.text);
    }

    #[test]
    fn a_new_version_of_the_same_is_the_same() {
        let mut other = manifest();
        other["metadata"]["resourceVersion"] = json!("43");
        other["metadata"]["managedFields"][0]["time"] = json!("2026-01-03T00:00:00Z");
        assert_eq!(read(&other), read(&manifest()));
        other["spec"]["rules"][0]["host"] = json!("b.example");
        assert_ne!(read(&other), read(&manifest()));
    }

    #[test]
    fn the_annotation_wins_over_the_field_also_when_empty() {
        let mut object = manifest();
        assert_eq!(&*read(&object).class, "nginx");
        for class in ["other", ""] {
            object["metadata"]["annotations"][names::LEGACY_CLASS_ANNOTATION] = json!(class);
            assert_eq!(&*read(&object).class, class);
        }
        assert_eq!(&*read(&json!({ "metadata": { "name": "web" } })).class, "");
    }

    #[test]
    fn a_status_of_somebody_else_is_not_ours() {
        for (field, value) in [("manager", "other"), ("operation", "Update"), ("subresource", "")] {
            let mut object = manifest();
            object["metadata"]["managedFields"][1][field] = json!(value);
            assert!(!read(&object).shows_ours, "{field}");
        }
    }

    #[test]
    fn what_is_not_as_the_api_says_is_found_when_it_is_unpacked() {
        let mut object = manifest();
        object["spec"]["rules"] = json!("none");
        assert!(read(&object).unpack().is_err());
        assert!(versioned(&json!({})).is_err());
    }

    /// Names and values with what JSON has to escape.
    const TEXT: &str = r#"[a-z"\\\\\n\t/é🦀]{0,8}"#;

    /// An Ingress with any of the parts that say whose it is, or none.
    fn any_ingress() -> impl Strategy<Value = Value> {
        let manager = || prop_oneof![Just(names::FIELD_MANAGER.to_owned()), TEXT];
        let is = |what: &'static str| prop_oneof![Just(what.to_owned()), TEXT];
        let status = prop_oneof![
            Just(json!({ "f:status": { "f:loadBalancer": { "f:ingress": {} } } })),
            Just(json!({ "f:status": {} })),
        ];
        let managed = (manager(), is("Apply"), is("status"), status).prop_map(|(manager, operation, subresource, fields)| {
            json!({ "manager": manager, "operation": operation, "subresource": subresource, "fieldsV1": fields })
        });
        let parts = (
            proptest::option::of(TEXT),
            proptest::option::of(TEXT),
            proptest::collection::vec(managed, 0..3),
            proptest::collection::btree_map(TEXT, TEXT, 0..3),
            TEXT,
        );
        parts.prop_map(|(class, legacy, managed, mut annotations, host)| {
            annotations.extend(legacy.map(|class| (names::LEGACY_CLASS_ANNOTATION.to_owned(), class)));
            let mut object = manifest();
            object["spec"]["ingressClassName"] = json!(class);
            object["spec"]["rules"][0]["host"] = json!(host);
            object["metadata"]["annotations"] = json!(annotations);
            object["metadata"]["managedFields"] = json!(managed);
            object
        })
    }

    proptest! {
        /// What the look at an Ingress says of it is what decoding all of it says: nothing is skipped that is ours.
        #[test]
        fn whose_it_is_is_what_decoding_the_whole_says(object in any_ingress()) {
            let whole: k8s::Ingress = serde_json::from_value(object.clone()).unwrap();
            let whole = Ingress::from(&whole);
            let packed = read(&object);
            prop_assert_eq!(&*packed.class, class_of(&whole));
            prop_assert_eq!(packed.shows_ours, whole.shows_ours);
            prop_assert_eq!(packed.unpack().unwrap(), whole);
        }
    }
}
