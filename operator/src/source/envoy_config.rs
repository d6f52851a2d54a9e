//! CiliumEnvoyConfig and CiliumClusterwideEnvoyConfig in one reduced form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_api::{cec, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, ObjectMeta};
use serde_json::Value;

use super::{Kind, Meta, Name, ObjectKey, Selector};

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
    /// Annotations that change how it is served, by what follows their prefix.
    pub annotations: BTreeMap<String, String>,
    /// The label that did the same as [`names::ORIGINAL_SOURCE`] before there were annotations.
    pub original_source_label: Option<String>,
    /// An Ingress or a Gateway owns it.
    pub is_derived: bool,
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

impl ServiceRef {
    /// With the namespace that it has when none is written.
    #[must_use]
    pub fn full_name(&self, default_namespace: &str) -> Name {
        Name::new(self.namespace.as_deref().unwrap_or(default_namespace), &self.name)
    }
}

/// One of `spec.backendServices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRef {
    /// Where it is.
    pub service: Name,
    /// Names or numbers, all when empty.
    pub ports: BTreeSet<String>,
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
            && self.annotations == other.annotations
            && self.original_source_label == other.original_source_label
            && self.is_derived == other.is_derived
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
        let annotation = |(key, value): (&String, &String)| {
            Some((key.strip_prefix(names::CONFIG_PREFIX)?.to_owned(), value.clone()))
        };
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(names::ORIGINAL_SOURCE_LABEL));
        let mut owners = metadata.owner_references.iter().flatten();
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
            annotations: metadata.annotations.iter().flatten().filter_map(annotation).collect(),
            original_source_label: label.cloned(),
            is_derived: owners.any(|owner| matches!(owner.kind.as_str(), "Ingress" | "Gateway")),
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
