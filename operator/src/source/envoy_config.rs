//! CiliumEnvoyConfig and CiliumClusterwideEnvoyConfig in one reduced form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_api::cec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, ObjectMeta};
use serde_json::Value;

use super::{Kind, Meta, Name, ObjectKey};

/// A CiliumEnvoyConfig, or a CiliumClusterwideEnvoyConfig when its namespace is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvoyConfig {
    /// Namespaced or not: that is the difference of the two kinds.
    pub meta: Meta,
    /// `spec.services`.
    pub services: Vec<ServiceRef>,
    /// `spec.backendServices`.
    pub backend_services: Vec<BackendRef>,
    /// `spec.resources` as written: the list as compact JSON text, several times smaller than a tree.
    pub resources: Arc<str>,
    /// `spec.nodeSelector`: `None` selects all.
    pub node_selector: Option<Selector>,
    /// `status.conditions` as they stand.
    pub conditions: Vec<Condition>,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
}

/// One of `spec.services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// Its name.
    pub name: String,
    /// As written.
    pub namespace: Option<String>,
    /// As written.
    pub listener: Option<String>,
    /// All when empty.
    pub ports: BTreeSet<u16>,
}

/// One of `spec.backendServices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRef {
    /// Where it is.
    pub service: Name,
    /// Names or numbers, all when empty.
    pub ports: BTreeSet<String>,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`: key, operator, values.
    pub expressions: Vec<(String, String, Vec<String>)>,
}

impl EnvoyConfig {
    /// Which object this is.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let kind = if self.meta.name.namespace.is_empty() {
            Kind::CiliumClusterwideEnvoyConfig
        } else {
            Kind::CiliumEnvoyConfig
        };
        ObjectKey { kind, name: self.meta.name.clone() }
    }

    /// Whether two versions of an object ask for the same.
    #[must_use]
    pub fn same_spec(&self, other: &Self) -> bool {
        self.services == other.services
            && self.backend_services == other.backend_services
            && self.resources == other.resources
            && self.node_selector == other.node_selector
    }

    /// The namespace that names without one mean.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        if self.meta.name.namespace.is_empty() { "default" } else { &self.meta.name.namespace }
    }

    /// `spec.resources`, parsed again.
    #[must_use]
    pub fn resources(&self) -> Vec<Value> {
        serde_json::from_str(&self.resources).unwrap_or_default()
    }

    fn new(
        metadata: &ObjectMeta,
        services: &[cec::ServiceListener],
        backends: &[cec::BackendService],
        resources: &[cec::AnyJson],
        selector: Option<&LabelSelector>,
        status: Option<&cec::EnvoyConfigStatus>,
    ) -> Self {
        let meta = Meta::from(metadata);
        let own = if meta.name.namespace.is_empty() { "default".into() } else { meta.name.namespace.clone() };
        Self {
            services: services.iter().map(ServiceRef::from).collect(),
            backend_services: backends
                .iter()
                .map(|backend| BackendRef {
                    service: Name::new(backend.namespace.as_deref().unwrap_or(&own), &backend.name),
                    ports: backend.ports.iter().cloned().collect(),
                })
                .collect(),
            // A list of maps with text keys always has a text form.
            resources: serde_json::to_string(resources).unwrap_or_default().into(),
            node_selector: selector.map(Selector::from),
            conditions: status.map(|status| status.conditions.clone()).unwrap_or_default(),
            observed_generation: status.and_then(|status| status.observed_generation),
            meta,
        }
    }
}

impl From<&cec::CiliumEnvoyConfig> for EnvoyConfig {
    fn from(object: &cec::CiliumEnvoyConfig) -> Self {
        let cec::CiliumEnvoyConfigSpec { services, backend_services, resources, node_selector } = &object.spec;
        let status = object.status.as_ref();
        Self::new(&object.metadata, services, backend_services, resources, node_selector.as_ref(), status)
    }
}

impl From<&cec::CiliumClusterwideEnvoyConfig> for EnvoyConfig {
    fn from(object: &cec::CiliumClusterwideEnvoyConfig) -> Self {
        let cec::CiliumClusterwideEnvoyConfigSpec { services, backend_services, resources, node_selector } =
            &object.spec;
        let status = object.status.as_ref();
        Self::new(&object.metadata, services, backend_services, resources, node_selector.as_ref(), status)
    }
}

impl From<&cec::ServiceListener> for ServiceRef {
    fn from(service: &cec::ServiceListener) -> Self {
        Self {
            name: service.name.clone(),
            namespace: service.namespace.clone().filter(|namespace| !namespace.is_empty()),
            listener: service.listener.clone().filter(|listener| !listener.is_empty()),
            ports: service.ports.iter().copied().collect(),
        }
    }
}

impl From<&LabelSelector> for Selector {
    fn from(selector: &LabelSelector) -> Self {
        let expressions = selector.match_expressions.iter().flatten();
        Self {
            labels: selector.match_labels.clone().unwrap_or_default(),
            expressions: expressions
                .map(|e| (e.key.clone(), e.operator.clone(), e.values.clone().unwrap_or_default()))
                .collect(),
        }
    }
}

impl Selector {
    /// The operator that Kubernetes does not know, when there is one: such a selector selects nothing and is refused.
    #[must_use]
    pub fn unknown_operator(&self) -> Option<(usize, &str)> {
        self.expressions
            .iter()
            .enumerate()
            .map(|(at, (_, operator, _))| (at, operator.as_str()))
            .find(|(_, operator)| !matches!(*operator, "In" | "NotIn" | "Exists" | "DoesNotExist"))
    }

    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let pairs = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        pairs
            && self.expressions.iter().all(|(key, operator, values)| {
                let value = labels.get(key);
                match operator.as_str() {
                    "In" => value.is_some_and(|value| values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}
