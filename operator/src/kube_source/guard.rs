//! An object that may not decode: it must not end the watch of all others.
//!
//! What kube has for this reads each object into a tree of values, copies that, and decodes the copy. This one keeps the text
//! and decodes it once; only what does not decode is read again, for its metadata.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

/// The object, or what is wrong with it.
#[derive(Clone, Debug)]
pub(super) struct Guard<K>(pub(super) Result<K, Box<Invalid>>);

/// An object that cannot be decoded.
#[derive(Clone, Debug)]
pub(super) struct Invalid {
    pub(super) metadata: ObjectMeta,
    pub(super) why: String,
}

#[derive(Deserialize)]
struct OnlyMetadata {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guard<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let decoded = serde_json::from_str(text.get()).map_err(|error| error.to_string());
        let invalid = |why| {
            let OnlyMetadata { metadata } = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
            Ok(Err(Box::new(Invalid { metadata, why })))
        };
        decoded.map(Ok).or_else(invalid).map(Self)
    }
}

impl<K: Resource> Resource for Guard<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use kube::{
        api::WatchEvent,
        core::{ObjectList, ResourceExt as _},
    };
    use serde_json::{Value, json};

    use super::*;

    fn service(name: &str, ports: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": { "ports": ports } })
    }

    /// Text, as from the wire: the guard needs it.
    #[test]
    fn one_wrong_object_of_a_list_is_told_by_its_name() {
        let items = [service("a", &json!([{ "port": 80 }])), service("b", &json!("none"))];
        let text = json!({ "apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": items }).to_string();
        let list: ObjectList<Guard<Service>> = serde_json::from_str(&text).unwrap();
        let [good, wrong] = list.items.as_slice() else { panic!("{list:?}") };
        assert_eq!((good.name_any().as_str(), good.0.is_ok()), ("a", true));
        let why = wrong.0.as_ref().unwrap_err();
        assert_eq!(wrong.name_any(), "b");
        assert!(why.why.contains("invalid type"), "{why:?}");
    }

    #[test]
    fn so_is_one_of_a_watch() {
        for (ports, is_good) in [(json!([{ "port": 80 }]), true), (json!("none"), false)] {
            // The type comes first, as every API server writes it.
            let text = format!(r#"{{"type":"MODIFIED","object":{}}}"#, service("a", &ports));
            let Ok(WatchEvent::Modified(object)) = serde_json::from_str::<WatchEvent<Guard<Service>>>(&text) else {
                panic!("{text}")
            };
            assert_eq!((object.name_any().as_str(), object.0.is_ok()), ("a", is_good));
        }
    }
}
