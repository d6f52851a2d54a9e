//! EndpointSlice in its reduced form: backends and whether they can take a request.

use std::net::IpAddr;

use axoneme_api::names;
use k8s_openapi::api::discovery::v1 as k8s;

use super::{Meta, Protocol};

/// The label that ties a slice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One EndpointSlice. A Service may have many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespaced.
    pub meta: Meta,
    /// The Service it belongs to, empty when its label is missing.
    pub service: String,
    /// Its backends; none for a slice of DNS names.
    pub endpoints: Vec<Endpoint>,
    /// Target ports.
    pub ports: Vec<SlicePort>,
    /// Carries the label of a slice that the operator writes for an Ingress.
    pub is_ingress: bool,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Only the first counts: all mean the same backend.
    pub addresses: Vec<IpAddr>,
    /// Takes requests.
    pub ready: bool,
    /// Still answers although it is being shut down: the last resort.
    pub draining: bool,
}

/// A target port under the name of the Service's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// Name of the Service's port.
    pub name: String,
    /// Where the backend listens.
    pub port: u16,
    /// Only TCP counts.
    pub protocol: Protocol,
}

impl From<&k8s::EndpointSlice> for EndpointSlice {
    fn from(slice: &k8s::EndpointSlice) -> Self {
        let labels = slice.metadata.labels.iter().flatten();
        let (label, value) = names::INGRESS_LABEL;
        Self {
            meta: Meta::from(&slice.metadata),
            service: labels.clone().find(|(key, _)| *key == SERVICE_NAME).map(|(_, v)| v.clone()).unwrap_or_default(),
            endpoints: slice.endpoints.iter().flatten().map(Endpoint::from).collect(),
            ports: slice.ports.iter().flatten().filter_map(SlicePort::reduce).collect(),
            is_ingress: labels.clone().any(|(k, v)| k == label && v == value),
        }
    }
}

impl From<&k8s::Endpoint> for Endpoint {
    fn from(endpoint: &k8s::Endpoint) -> Self {
        let conditions = endpoint.conditions.as_ref();
        let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
        // Absent means ready: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1
        let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
        Self {
            addresses: endpoint.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
            ready,
            draining: !ready && serving && terminating,
        }
    }
}

impl SlicePort {
    /// `None` for a port without a number, which means "all ports" and names none.
    fn reduce(port: &k8s::EndpointPort) -> Option<Self> {
        Some(Self {
            name: port.name.clone().unwrap_or_default(),
            port: u16::try_from(port.port?).ok()?,
            protocol: Protocol::from_name(port.protocol.as_deref()),
        })
    }
}
