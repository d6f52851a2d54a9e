//! What the engine wants written to Kubernetes, as plain data.
//!
//! Only the holder of the lease writes. In standalone mode [`crate::local`] plays the API server's part.

use std::collections::BTreeMap;

use axoneme_api::names;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::status::ConfigStatus;
use crate::model::options::{RequestedType, ServiceOptions};
use crate::source::{Kind, LoadBalancerAddress, Name, ObjectKey, Protocol, Service, ServicePort, ServiceType};

mod slice;

pub use slice::DummySlice;

/// One write. The target is in the variant, the desired state is whole: the last one for a target counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply of the Service of an Ingress.
    Service(IngressService),
    /// Server-side apply of the EndpointSlice of that Service.
    EndpointSlice(DummySlice),
    /// The Ingress is gone or no longer ours.
    DeleteService(Name),
    /// The same for its slice.
    DeleteEndpointSlice(Name),
    /// `status.loadBalancer.ingress` of an Ingress.
    IngressStatus {
        /// Which Ingress.
        ingress: Name,
        /// Where clients find it.
        addresses: Vec<LoadBalancerAddress>,
    },
    /// The Ingress is another's now: what we wrote there goes, what somebody else wrote since stays.
    ClearIngressStatus(Name),
    /// Status of a CiliumEnvoyConfig or CiliumClusterwideEnvoyConfig.
    ConfigStatus {
        /// Which object.
        object: ObjectKey,
        /// Its conditions.
        status: ConfigStatus,
    },
}

impl Write {
    /// What is written to: at most one write for it is worth keeping.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Service(IngressService { name, .. }) | Self::DeleteService(name) => Target::Service(name.clone()),
            Self::EndpointSlice(DummySlice { name, .. }) | Self::DeleteEndpointSlice(name) => {
                Target::EndpointSlice(name.clone())
            }
            Self::IngressStatus { ingress, .. } | Self::ClearIngressStatus(ingress) => {
                Target::IngressStatus(ingress.clone())
            }
            Self::ConfigStatus { object, .. } => Target::ConfigStatus(object.clone()),
        }
    }
}

/// What a write goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A Service.
    Service(Name),
    /// An EndpointSlice.
    EndpointSlice(Name),
    /// The status of an Ingress.
    IngressStatus(Name),
    /// The status of a CiliumEnvoyConfig or CiliumClusterwideEnvoyConfig.
    ConfigStatus(ObjectKey),
}

/// The Ingress that a Service is for. Kubernetes deletes the Service with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Name of the Ingress, in the namespace of what it owns.
    pub name: String,
    /// Its uid. Without one (standalone) there is no owner reference.
    pub uid: Option<String>,
}

/// The Service `cilium-ingress-<ingress>`: the address of an Ingress. It selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressService {
    /// Namespace of the Ingress, name from [`names::ingress_service`].
    pub name: Name,
    /// The Ingress.
    pub owner: Owner,
    /// What its annotations ask for.
    pub options: ServiceOptions,
}

impl Owner {
    fn references(&self) -> Option<Vec<OwnerReference>> {
        let uid = self.uid.clone()?;
        Some(vec![OwnerReference {
            api_version: "networking.k8s.io/v1".to_owned(),
            kind: "Ingress".to_owned(),
            name: self.name.clone(),
            uid,
            controller: Some(true),
            block_owner_deletion: None,
        }])
    }

    fn metadata(&self, name: &Name, more: &[(&str, &str)]) -> ObjectMeta {
        let labels = [names::INGRESS_LABEL, names::MADE_LABEL];
        ObjectMeta {
            namespace: Some(name.namespace.to_string()),
            name: Some(name.name.to_string()),
            labels: Some(labels.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            owner_references: self.references(),
            ..ObjectMeta::default()
        }
    }
}

/// Ports of every Ingress Service, name and number, as Cilium's: also 443 when nothing has TLS yet.
const PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl IngressService {
    /// The ports that the Service must have. Node ports that nobody asked for are given by the API server.
    pub fn ports(&self) -> impl Iterator<Item = ServicePort> {
        let node_ports = [self.options.insecure_node_port, self.options.secure_node_port];
        PORTS.into_iter().zip(node_ports).map(|((name, port), node_port)| ServicePort {
            name: name.to_owned(),
            port,
            node_port,
            protocol: Protocol::Tcp,
            app_protocol: None,
        })
    }

    /// Labels besides those of every object of ours.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.options.labels.clone()
    }

    /// Annotations: what is copied, and a list of it. The list shows what was copied before and is not wanted any more, on
    /// an object on which others write annotations too.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let copied: Vec<_> = self.options.annotations.keys().chain(self.options.labels.keys()).cloned().collect();
        let list = (!copied.is_empty()).then(|| (names::COPIED_ANNOTATION.to_owned(), copied.join(",")));
        self.options.annotations.clone().into_iter().chain(list).collect()
    }

    /// Who may connect. Only load balancers know of it, and of no list that is empty.
    #[must_use]
    pub fn ranges(&self) -> Option<Vec<String>> {
        let ranges = self.options.sources.as_ref().filter(|_| self.options.type_ == RequestedType::LoadBalancer)?;
        (!ranges.is_empty()).then(|| ranges.iter().map(ToString::to_string).collect())
    }

    /// Whether the Service in the cluster is what it should be.
    #[must_use]
    pub fn is_met_by(&self, service: &Service) -> bool {
        let written = &service.written;
        service.is_ingress
            && service.type_ == ServiceType::from(self.options.type_)
            && !service.has_selector
            && service.ports.len() == PORTS.len()
            && self.ports().zip(&service.ports).all(|(wanted, there)| is_port(&wanted, there))
            && written.local_traffic_only == self.options.local_traffic_only
            && (written.local_clients_only || !self.options.local_traffic_only)
            && written.class == self.options.class
            && service.source_ranges == self.ranges().unwrap_or_default()
            && has(&written.labels, &self.labels())
            && has(&written.annotations, &self.annotations())
            && written.annotations.get(names::COPIED_ANNOTATION) == self.annotations().get(names::COPIED_ANNOTATION)
    }

    /// The object for server-side apply.
    #[must_use]
    pub fn to_object(&self) -> core::Service {
        let port = |port: ServicePort| core::ServicePort {
            name: Some(port.name),
            port: i32::from(port.port),
            node_port: port.node_port.map(i32::from),
            protocol: Some("TCP".to_owned()),
            target_port: Some(IntOrString::Int(i32::from(names::DUMMY_ENDPOINT.1))),
            ..core::ServicePort::default()
        };
        let mut metadata = self.owner.metadata(&self.name, &[]);
        metadata.annotations = Some(self.annotations()).filter(|annotations| !annotations.is_empty());
        metadata.labels.get_or_insert_default().extend(self.labels());
        let policy = if self.options.local_traffic_only { "Local" } else { "Cluster" };
        let policy = (self.options.type_ != RequestedType::ClusterIp).then(|| policy.to_owned());
        // Each node's kube-proxy has the node's own endpoint to care for then, however many nodes there are.
        let internal_policy = self.options.local_traffic_only.then(|| "Local".to_owned());
        core::Service {
            metadata,
            spec: Some(core::ServiceSpec {
                type_: Some(ServiceType::from(self.options.type_).to_string()),
                load_balancer_class: self.options.class.clone(),
                external_traffic_policy: policy,
                internal_traffic_policy: internal_policy,
                load_balancer_source_ranges: self.ranges(),
                ports: Some(self.ports().map(port).collect()),
                ..core::ServiceSpec::default()
            }),
            status: None,
        }
    }
}

/// A node port is what was asked for, or whatever the API server gave.
fn is_port(wanted: &ServicePort, there: &ServicePort) -> bool {
    (&wanted.name, wanted.port, wanted.protocol) == (&there.name, there.port, there.protocol)
        && wanted.node_port.is_none_or(|port| there.node_port == Some(port))
}

fn has(there: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| there.get(key) == Some(value))
}

/// The writes that wait for the cluster to show them, so that none is told twice.
#[derive(Debug, Default)]
pub(crate) struct Pending(BTreeMap<Target, Write>);

impl Pending {
    /// Whether this write is news.
    pub(crate) fn note(&mut self, write: &Write) -> bool {
        self.0.insert(write.target(), write.clone()).as_ref() != Some(write)
    }

    /// An object changed: what was told of it before may have been done, or undone.
    pub(crate) fn forget_object(&mut self, object: &ObjectKey) {
        let name = object.name.clone();
        self.forget(&match object.kind {
            Kind::Service => Target::Service(name),
            Kind::EndpointSlice => Target::EndpointSlice(name),
            Kind::Ingress => Target::IngressStatus(name),
            Kind::CiliumEnvoyConfig | Kind::CiliumClusterwideEnvoyConfig => Target::ConfigStatus(object.clone()),
            Kind::IngressClass | Kind::Secret | Kind::ConfigMap | Kind::Node => return,
        });
    }

    /// The target changed, or needs nothing: what was told before says nothing any more.
    pub(crate) fn forget(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// Whether a write for this target was told and waits for the cluster to show it.
    pub(crate) fn awaits(&self, target: &Target) -> bool {
        self.0.contains_key(target)
    }
}
