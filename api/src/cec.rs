//! The custom resources `CiliumEnvoyConfig` and `CiliumClusterwideEnvoyConfig` (`cilium.io/v2`).
//!
//! Field names are Cilium's, so manifests carry over. Ours is the status subresource: nothing is written to an object
//! whose definition in the cluster has none.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One element of `spec.resources`: a `google.protobuf.Any` in JSON, its type named by `@type`.
pub type AnyJson = Map<String, Value>;

/// Spec of a [`CiliumEnvoyConfig`]: Envoy resources, and the Services whose traffic they take.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cilium.io",
    version = "v2",
    kind = "CiliumEnvoyConfig",
    namespaced,
    status = "EnvoyConfigStatus",
    shortname = "cec",
    category = "cilium",
    doc = "Envoy resources of one namespace, and the Services whose traffic they take.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name": "Resolved", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"ResolvedRefs\")].status"}"#,
    printcolumn = r#"{"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name": "Nodes", "type": "string", "jsonPath": ".status.nodes"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CiliumEnvoyConfigSpec {
    /// Services whose traffic goes to a listener of this object. Their endpoints are known to Envoy too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceListener>,
    /// Services whose endpoints are known to Envoy. Their traffic is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_services: Vec<BackendService>,
    /// Envoy resources: Listener, RouteConfiguration, Cluster, ClusterLoadAssignment or Secret, each with its `@type`.
    #[schemars(schema_with = "any_list")]
    pub resources: Vec<AnyJson>,
    /// Nodes that run this object. All, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
}

/// Spec of a [`CiliumClusterwideEnvoyConfig`]: the same, with Services of any namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cilium.io",
    version = "v2",
    kind = "CiliumClusterwideEnvoyConfig",
    status = "EnvoyConfigStatus",
    shortname = "ccec",
    category = "cilium",
    doc = "Envoy resources for the whole cluster, and the Services whose traffic they take.",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name": "Resolved", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"ResolvedRefs\")].status"}"#,
    printcolumn = r#"{"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name": "Nodes", "type": "string", "jsonPath": ".status.nodes"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CiliumClusterwideEnvoyConfigSpec {
    /// Services whose traffic goes to a listener of this object. Their endpoints are known to Envoy too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceListener>,
    /// Services whose endpoints are known to Envoy. Their traffic is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_services: Vec<BackendService>,
    /// Envoy resources: Listener, RouteConfiguration, Cluster, ClusterLoadAssignment or Secret, each with its `@type`.
    #[schemars(schema_with = "any_list")]
    pub resources: Vec<AnyJson>,
    /// Nodes that run this object. All, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
}

/// One Service whose traffic is redirected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceListener {
    /// Name of the Service.
    pub name: String,
    /// Its namespace. In a CiliumEnvoyConfig only the object's own is accepted; else `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of a Listener in `resources`. The first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Ports of the Service (not target ports, not node ports) to redirect. All when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "port_list")]
    pub ports: Vec<u16>,
}

/// One Service whose endpoints Envoy gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendService {
    /// Name of the Service.
    pub name: String,
    /// Its namespace. The object's own when absent; `default` for a clusterwide object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Ports, each by name or by number. All when empty. Despite its name a list: the field is Cilium's.
    #[serde(default, rename = "number", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
}

/// What became of the object. Conditions are `Accepted`, `ResolvedRefs` and `Programmed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvoyConfigStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that run the object, of how many that should: `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// Each condition carries what a person has to know in its message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The schema of `resources`. What an element may hold is Envoy's to say, so the API server must keep every field.
fn any_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "description": "Envoy resources: Listener, RouteConfiguration, Cluster, ClusterLoadAssignment or Secret, \
                        each with its `@type`.",
        "minItems": 1,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}

/// Without the format `uint16` of a derived schema, which the API server does not know and warns of.
fn port_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "integer", "minimum": 0, "maximum": 65535 }
    })
}

/// The definitions that `charts/axoneme-crds` installs.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![CiliumEnvoyConfig::crd(), CiliumClusterwideEnvoyConfig::crd()]
}

#[cfg(test)]
mod tests;
