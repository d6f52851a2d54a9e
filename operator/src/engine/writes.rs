//! What the engine wants written to Kubernetes, as plain data.
//!
//! Only the holder of the lease writes. In standalone mode [`crate::local`] plays the API server's part.

use std::collections::BTreeMap;

use axoneme_api::names;
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::status::ConfigStatus;
use crate::source::{
    Endpoint, EndpointSlice, Kind, LoadBalancerAddress, Name, ObjectKey, Service, ServicePort, ServiceType, SlicePort,
};

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
        /// Copied from its Service.
        addresses: Vec<LoadBalancerAddress>,
    },
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
            Self::IngressStatus { ingress, .. } => Target::IngressStatus(ingress.clone()),
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

/// The `LoadBalancer` Service `cilium-ingress-<ingress>`: the address of an Ingress. It selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressService {
    /// Namespace of the Ingress, name from [`names::ingress_service`].
    pub name: Name,
    /// The Ingress.
    pub owner: Owner,
}

/// Its EndpointSlice with [`names::DUMMY_ENDPOINT`], because load balancers announce a Service only when it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DummySlice {
    /// As the Service.
    pub name: Name,
    /// The Ingress.
    pub owner: Owner,
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
        let (label, value) = names::INGRESS_LABEL;
        let labels = [(label, value), ("app.kubernetes.io/managed-by", names::FIELD_MANAGER)];
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
    /// The ports that the Service must have. Node ports are given by the API server.
    pub fn ports() -> impl Iterator<Item = ServicePort> {
        PORTS.into_iter().map(|(name, port)| ServicePort {
            name: name.to_owned(),
            port,
            node_port: None,
            protocol: crate::source::Protocol::Tcp,
        })
    }

    /// Whether the Service in the cluster is what it should be.
    #[must_use]
    pub fn is_met_by(&self, service: &Service) -> bool {
        let ports = service.ports.iter().map(|port| ServicePort { node_port: None, ..port.clone() });
        service.is_ingress
            && service.type_ == ServiceType::LoadBalancer
            && !service.has_selector
            && ports.eq(Self::ports())
    }

    /// The object for server-side apply.
    #[must_use]
    pub fn to_object(&self) -> core::Service {
        let port = |port: ServicePort| core::ServicePort {
            name: Some(port.name),
            port: i32::from(port.port),
            protocol: Some("TCP".to_owned()),
            target_port: Some(IntOrString::Int(i32::from(names::DUMMY_ENDPOINT.1))),
            ..core::ServicePort::default()
        };
        core::Service {
            metadata: self.owner.metadata(&self.name, &[]),
            spec: Some(core::ServiceSpec {
                type_: Some("LoadBalancer".to_owned()),
                ports: Some(Self::ports().map(port).collect()),
                ..core::ServiceSpec::default()
            }),
            status: None,
        }
    }
}

impl DummySlice {
    /// Whether the slice in the cluster is what it should be.
    #[must_use]
    pub fn is_met_by(&self, slice: &EndpointSlice) -> bool {
        let (address, port) = names::DUMMY_ENDPOINT;
        let port_is_dummy = |it: &SlicePort| it.port == port;
        let is_dummy = |it: &Endpoint| it.addresses.iter().map(ToString::to_string).eq([address]);
        slice.is_ingress
            && *slice.service == *self.name.name
            && slice.endpoints.len() == 1
            && slice.endpoints.iter().all(is_dummy)
            && slice.ports.len() == PORTS.len()
            && slice.ports.iter().all(port_is_dummy)
    }

    /// The object for server-side apply.
    #[must_use]
    pub fn to_object(&self) -> discovery::EndpointSlice {
        let (address, number) = names::DUMMY_ENDPOINT;
        let port = |(name, _): (&str, u16)| discovery::EndpointPort {
            name: Some(name.to_owned()),
            port: Some(i32::from(number)),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        };
        discovery::EndpointSlice {
            metadata: self.owner.metadata(&self.name, &[("kubernetes.io/service-name", &self.name.name)]),
            address_type: "IPv4".to_owned(),
            endpoints: Some(vec![discovery::Endpoint { addresses: vec![address.to_owned()], ..Default::default() }]),
            ports: Some(PORTS.into_iter().map(port).collect()),
        }
    }
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
            Kind::IngressClass | Kind::Secret | Kind::Node => return,
        });
    }

    /// The target changed, or needs nothing: what was told before says nothing any more.
    pub(crate) fn forget(&mut self, target: &Target) {
        self.0.remove(target);
    }
}
