//! EndpointSlice in its reduced form: backends and whether they can take a request.

use std::net::IpAddr;
use std::sync::Arc;

use axoneme_api::names;
use k8s_openapi::api::core::v1::ObjectReference;
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

/// One backend, or one address family of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Only the first counts: all mean the same backend.
    pub addresses: Vec<IpAddr>,
    /// Takes requests.
    pub ready: bool,
    /// Still answers although it is being shut down: the last resort.
    pub draining: bool,
    /// Its zone, empty when unknown.
    pub zone: Arc<str>,
    /// Its node, empty when unknown.
    pub node: Arc<str>,
    /// What tells its pod from others: the uid, or the name where there is none. `None` for what is no pod.
    ///
    /// A slice is of one family, so a pod with IPv4 and IPv6 stands in two of them, and is one backend all the same.
    pub pod: Option<Arc<str>>,
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
            zone: endpoint.zone.as_deref().unwrap_or_default().into(),
            node: endpoint.node_name.as_deref().unwrap_or_default().into(),
            pod: endpoint.target_ref.as_ref().and_then(pod),
        }
    }
}

fn pod(target: &ObjectReference) -> Option<Arc<str>> {
    let told = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Arc::from);
    (target.kind.as_deref() == Some("Pod")).then(|| told(&target.uid).or_else(|| told(&target.name))).flatten()
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
