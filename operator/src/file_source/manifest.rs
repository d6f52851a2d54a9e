//! One YAML document to objects, with the place of each.

use axoneme_api::cec::{CiliumClusterwideEnvoyConfig, CiliumEnvoyConfig};
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery, networking::v1 as networking};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::source::{
    ConfigMap, EndpointSlice, EnvoyConfig, Ingress, IngressClass, Kind, Node, Object, ObjectKey, Secret, Service,
};
use crate::yaml::{Document, Position, Positions};

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manifest {
    /// Which object.
    pub(super) key: ObjectKey,
    /// The object, or why it is none: the field and the reason.
    pub(super) object: Result<Object, Mistake>,
    /// Fields that no such object has. They have no effect.
    pub(super) unknown_fields: Vec<String>,
    /// Where everything stands.
    pub(super) positions: Positions,
}

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) field: String,
    pub(super) message: String,
}

/// What a document, or an element of a list, turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// Something that the mesh reads.
    Manifest(Box<Manifest>),
    /// Something for others, such as a Pod.
    Ignored { kind: String, name: String, position: Position },
    /// Nothing that Kubernetes would take.
    Mistake { message: String, position: Position },
}

/// Reads a document, and the elements of one that is a list.
pub(super) fn read(document: &Document) -> Vec<Found> {
    let Document { value, positions } = document;
    match value.get("items") {
        Some(Value::Array(items)) if text(value, "kind").ends_with("List") => items
            .iter()
            .enumerate()
            .map(|(at, item)| read_object(item, positions.part(&format!("items[{at}]"))))
            .collect(),
        _ => vec![read_object(value, positions.clone())],
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn read_object(value: &Value, positions: Positions) -> Found {
    let mistake =
        |field: &str, message: &str| Found::Mistake { message: message.to_owned(), position: positions.find(field) };
    let (api_version, kind) = (text(value, "apiVersion"), text(value, "kind"));
    if kind.is_empty() || api_version.is_empty() {
        return mistake("kind", "this is no Kubernetes object: apiVersion and kind must be there");
    }
    let name = value.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
    let Some(known) = Kind::ALL.into_iter().find(|it| it.as_str() == kind && it.api_version() == api_version) else {
        return match Kind::ALL.into_iter().find(|it| it.as_str() == kind) {
            Some(it) if !api_version.contains('.') || group(it.api_version()) == group(api_version) => {
                mistake("apiVersion", &format!("{kind} is read in version {}, not {api_version}", it.api_version()))
            }
            _ => Found::Ignored { kind: kind.to_owned(), name: name.to_owned(), position: positions.find("kind") },
        };
    };
    if name.is_empty() {
        return mistake("metadata.name", &format!("this {kind} has no metadata.name"));
    }
    let mut value = value.clone();
    let namespace = place_in_namespace(&mut value, known);
    let key = ObjectKey::new(known, &namespace, name);
    let (object, unknown_fields) = decode(known, &value);
    Found::Manifest(Box::new(Manifest { key, object, unknown_fields, positions }))
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// As kubectl does: `default` for what needs a namespace and has none, none for what cannot have one.
fn place_in_namespace(value: &mut Value, kind: Kind) -> String {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return String::new() };
    if !kind.is_namespaced() {
        metadata.remove("namespace");
        return String::new();
    }
    let written = metadata.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    let namespace = written.unwrap_or("default").to_owned();
    metadata.insert("namespace".to_owned(), Value::String(namespace.clone()));
    namespace
}

fn decode(kind: Kind, value: &Value) -> (Result<Object, Mistake>, Vec<String>) {
    match kind {
        Kind::IngressClass => {
            typed(value, |it: networking::IngressClass| Object::IngressClass(IngressClass::from(&it)))
        }
        Kind::Ingress => typed(value, |it: networking::Ingress| Object::Ingress(Ingress::from(&it))),
        Kind::CiliumEnvoyConfig => typed(value, |it: CiliumEnvoyConfig| Object::EnvoyConfig(EnvoyConfig::from(&it))),
        Kind::CiliumClusterwideEnvoyConfig => {
            typed(value, |it: CiliumClusterwideEnvoyConfig| Object::EnvoyConfig(EnvoyConfig::from(&it)))
        }
        Kind::Service => typed(value, |it: core::Service| Object::Service(Service::from(&it))),
        Kind::EndpointSlice => {
            typed(value, |it: discovery::EndpointSlice| Object::EndpointSlice(EndpointSlice::from(&it)))
        }
        Kind::Secret => typed(value, |it: core::Secret| Object::Secret(Secret::from(&it))),
        Kind::ConfigMap => typed(value, |it: core::ConfigMap| Object::ConfigMap(ConfigMap::from(&it))),
        Kind::Node => typed(value, |it: core::Node| Object::Node(Node::from(&it))),
    }
}

fn typed<T: DeserializeOwned>(value: &Value, reduce: fn(T) -> Object) -> (Result<Object, Mistake>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let decoded = serde_ignored::deserialize(tracked, |path| {
        let field = field_path(&path.to_string());
        // Custom resources do not list these two among their fields.
        if field != "apiVersion" && field != "kind" {
            unknown.push(field);
        }
    });
    let object = decoded
        .map(reduce)
        .map_err(|error: serde_json::Error| Mistake { field: track.path().to_string(), message: error.to_string() });
    (object, unknown)
}

/// `spec.?.rules.?.0.hosts`, where each optional value is a step, as people write it: `spec.rules[0].hosts`.
fn field_path(steps: &str) -> String {
    let mut path = String::new();
    for step in steps.split('.').filter(|step| *step != "?") {
        let is_index = step.bytes().all(|byte| byte.is_ascii_digit());
        match (is_index, path.is_empty()) {
            (true, _) => path.extend(["[", step, "]"]),
            (false, true) => path.push_str(step),
            (false, false) => path.extend([".", step]),
        }
    }
    path
}
