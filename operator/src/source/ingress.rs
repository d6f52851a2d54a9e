//! Ingress in its reduced form.

use std::collections::BTreeMap;

use axoneme_api::names;
use k8s_openapi::api::networking::v1 as k8s;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{LoadBalancerAddress, Meta, PortStatus};

/// What kubectl remembers of an object.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An Ingress, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// Namespaced.
    pub meta: Meta,
    /// `spec.ingressClassName`.
    pub class: Option<String>,
    /// The annotation that was used before that field. It wins, also when empty.
    pub legacy_class: Option<String>,
    /// Annotations that change how it is served, by what follows their prefix.
    pub options: BTreeMap<String, Annotation>,
    /// All other annotations: some of them are copied to the Service.
    pub annotations: BTreeMap<String, String>,
    /// Labels, likewise.
    pub labels: BTreeMap<String, String>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<Backend>,
    /// `spec.rules`.
    pub rules: Vec<Rule>,
    /// `spec.tls`.
    pub tls: Vec<Tls>,
    /// `status.loadBalancer.ingress`: what we wrote last, or somebody else.
    pub load_balancer: Vec<LoadBalancerAddress>,
    /// We wrote that, and nobody else since: the API server's own record of who manages which field says so.
    pub shows_ours: bool,
}

/// An annotation as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// Its key in full, to name it.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// One of `spec.rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Absent or empty: every host.
    pub host: Option<String>,
    /// `None` when the rule has no `http`, which makes it useless.
    pub paths: Option<Vec<PathRule>>,
}

/// One of `spec.rules[].http.paths`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// Absent: `/`.
    pub path: Option<String>,
    /// How the path is compared.
    pub path_type: PathType,
    /// Who answers.
    pub backend: Backend,
}

/// `pathType`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathType {
    /// The whole path.
    Exact,
    /// Whole path elements from the start.
    Prefix,
    /// Left to us: like `Prefix`.
    ImplementationSpecific,
    /// None of them, or missing (empty).
    Unknown(String),
}

/// A backend as written; what cannot be served is kept to be reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// A Service of the Ingress's namespace.
    Service {
        /// Its name.
        name: String,
        /// Its port.
        port: PortRef,
    },
    /// `resource`, which is not supported: kind and name.
    Resource(String),
    /// Neither `service` nor `resource`.
    Missing,
}

/// A Service's port by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortRef {
    /// `port.number`. Out of range when it is no port.
    Number(i32),
    /// `port.name`.
    Name(String),
    /// Neither.
    Missing,
}

/// One of `spec.tls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Hosts that the certificate is for.
    pub hosts: Vec<String>,
    /// Its Secret.
    pub secret: Option<String>,
}

impl From<&k8s::Ingress> for Ingress {
    fn from(ingress: &k8s::Ingress) -> Self {
        let annotations = ingress.metadata.annotations.iter().flatten();
        let spec = ingress.spec.as_ref();
        let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        Self {
            meta: Meta::from(&ingress.metadata),
            class: spec.and_then(|spec| spec.ingress_class_name.clone()),
            legacy_class: annotations
                .clone()
                .find(|(key, _)| *key == names::LEGACY_CLASS_ANNOTATION)
                .map(|(_, class)| class.clone()),
            options: options(annotations.clone()),
            annotations: annotations
                .filter(|(key, _)| !names::INGRESS_PREFIXES.iter().any(|prefix| key.starts_with(prefix)))
                // As large as the whole object, and of nobody's interest but kubectl's.
                .filter(|(key, _)| *key != LAST_APPLIED)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            labels: ingress.metadata.labels.clone().unwrap_or_default(),
            default_backend: spec.and_then(|spec| spec.default_backend.as_ref()).map(Backend::from),
            rules: spec.and_then(|spec| spec.rules.as_ref()).into_iter().flatten().map(Rule::from).collect(),
            tls: spec
                .and_then(|spec| spec.tls.as_ref())
                .into_iter()
                .flatten()
                .map(|tls| Tls { hosts: tls.hosts.clone().unwrap_or_default(), secret: tls.secret_name.clone() })
                .collect(),
            load_balancer: status
                .and_then(|status| status.ingress.as_ref())
                .into_iter()
                .flatten()
                .map(LoadBalancerAddress::from)
                .collect(),
            shows_ours: is_status_ours(&ingress.metadata),
        }
    }
}

/// Whether `status.loadBalancer.ingress` is a field that we apply.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>
fn is_status_ours(meta: &ObjectMeta) -> bool {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.any(|entry| {
        let is_ours = entry.manager.as_deref() == Some(names::FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref() == Some("status");
        let fields = entry.fields_v1.as_ref().filter(|_| is_ours);
        fields.is_some_and(|fields| fields.0.pointer("/f:status/f:loadBalancer/f:ingress").is_some())
    })
}

impl From<&k8s::IngressLoadBalancerIngress> for LoadBalancerAddress {
    fn from(address: &k8s::IngressLoadBalancerIngress) -> Self {
        let port = |it: &k8s::IngressPortStatus| PortStatus {
            port: it.port,
            protocol: it.protocol.clone(),
            error: it.error.clone(),
        };
        Self {
            ip: address.ip.clone(),
            hostname: address.hostname.clone(),
            ports: address.ports.iter().flatten().map(port).collect(),
        }
    }
}

/// The weakest prefix first, so that a stronger one takes its place.
fn options<'a>(annotations: impl Iterator<Item = (&'a String, &'a String)> + Clone) -> BTreeMap<String, Annotation> {
    let of_prefix = |prefix: &'static str| {
        annotations.clone().filter_map(move |(key, value)| {
            let option = key.strip_prefix(prefix)?.to_owned();
            Some((option, Annotation { key: key.clone(), value: value.clone() }))
        })
    };
    names::INGRESS_PREFIXES.into_iter().rev().flat_map(of_prefix).collect()
}

impl From<&k8s::IngressRule> for Rule {
    fn from(rule: &k8s::IngressRule) -> Self {
        Self {
            host: rule.host.clone().filter(|host| !host.is_empty()),
            paths: rule.http.as_ref().map(|http| http.paths.iter().map(PathRule::from).collect()),
        }
    }
}

impl From<&k8s::HTTPIngressPath> for PathRule {
    fn from(path: &k8s::HTTPIngressPath) -> Self {
        Self {
            path: path.path.clone(),
            path_type: match path.path_type.as_str() {
                "Exact" => PathType::Exact,
                "Prefix" => PathType::Prefix,
                "ImplementationSpecific" => PathType::ImplementationSpecific,
                other => PathType::Unknown(other.to_owned()),
            },
            backend: Backend::from(&path.backend),
        }
    }
}

impl From<&k8s::IngressBackend> for Backend {
    fn from(backend: &k8s::IngressBackend) -> Self {
        if let Some(service) = &backend.service {
            let port = service.port.as_ref();
            let number = port.and_then(|port| port.number).map(PortRef::Number);
            let name = port.and_then(|port| port.name.clone()).map(PortRef::Name);
            return Self::Service { name: service.name.clone(), port: name.or(number).unwrap_or(PortRef::Missing) };
        }
        match &backend.resource {
            Some(resource) => Self::Resource(format!("{} {}", resource.kind, resource.name)),
            None => Self::Missing,
        }
    }
}
