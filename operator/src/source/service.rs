//! Service in its reduced form: the addresses and ports that clients dial.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use axoneme_api::names;
use k8s_openapi::api::core::v1 as k8s;
use serde::{Deserialize, Serialize};

use super::Meta;

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespaced.
    pub meta: Meta,
    /// `spec.type`.
    pub type_: ServiceType,
    /// `spec.clusterIPs` without `None`: empty for a headless Service and before one is given.
    pub cluster_ips: Vec<IpAddr>,
    /// `clusterIP: None`, written so by the user.
    pub headless: bool,
    /// `spec.ipFamilies` begins with IPv6; where it is not told, the first of the cluster IPs does.
    pub is_ipv6_first: bool,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`.
    pub load_balancer: Vec<LoadBalancerAddress>,
    /// `spec.loadBalancerSourceRanges`, as written. Empty: everybody.
    pub source_ranges: Vec<String>,
    /// `spec.sessionAffinity` is `ClientIP`: a client stays with its backend.
    pub keeps_clients: bool,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.selector` is not empty: endpoints come by themselves.
    pub has_selector: bool,
    /// Carries the label of a Service that the operator writes for an Ingress.
    pub is_ingress: bool,
    /// What else the operator writes into such a Service; of other Services, nothing.
    pub written: Written,
}

/// What only the Service of an Ingress is looked at for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.loadBalancerClass`, which cannot change.
    pub class: Option<String>,
    /// `spec.externalTrafficPolicy` is `Local`.
    pub local_traffic_only: bool,
    /// `spec.internalTrafficPolicy` is `Local`.
    pub local_clients_only: bool,
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Reachable inside.
    #[default]
    ClusterIp,
    /// And on a port of every node.
    NodePort,
    /// And by an address from outside.
    LoadBalancer,
    /// A name elsewhere. No frontends, no endpoints.
    ExternalName,
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        })
    }
}

/// One of a Service's ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// Empty when the only port has no name.
    pub name: String,
    /// What clients dial.
    pub port: u16,
    /// The same on every node.
    pub node_port: Option<u16>,
    /// Only TCP is redirected.
    pub protocol: Protocol,
    /// `appProtocol`: what is spoken there.
    pub app_protocol: Option<String>,
}

/// Transport of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// UDP or SCTP, which the mesh leaves alone.
    Other,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoadBalancerAddress {
    /// An address.
    pub ip: Option<String>,
    /// Or a name, as some clouds give.
    pub hostname: Option<String>,
    /// What the load balancer says of single ports: mostly nothing.
    pub ports: Vec<PortStatus>,
}

/// One of `status.loadBalancer.ingress[].ports`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortStatus {
    /// Which port.
    pub port: i32,
    /// Its transport.
    pub protocol: String,
    /// Why it does not work; `None` when it does.
    pub error: Option<String>,
}

impl LoadBalancerAddress {
    /// An address and nothing else.
    #[must_use]
    pub fn ip(ip: impl ToString) -> Self {
        Self { ip: Some(ip.to_string()), ..Self::default() }
    }
}

impl fmt::Display for LoadBalancerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ip.as_deref().or(self.hostname.as_deref()).unwrap_or("?"))
    }
}

impl Service {
    /// The TCP port of a number.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.tcp_ports().find(|port| port.port == number)
    }

    /// The TCP port of a name.
    #[must_use]
    pub fn port_named(&self, name: &str) -> Option<&ServicePort> {
        self.tcp_ports().find(|port| port.name == name)
    }

    /// The ports that the mesh can serve.
    pub fn tcp_ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.ports.iter().filter(|port| port.protocol == Protocol::Tcp)
    }

    /// Every address that clients dial, sorted, node addresses aside.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let own = self.cluster_ips.iter().chain(&self.external_ips).copied();
        let mut all: Vec<IpAddr> = own.chain(self.balanced()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The addresses that a load balancer gave it.
    pub fn balanced(&self) -> impl Iterator<Item = IpAddr> {
        self.load_balancer.iter().filter_map(|address| address.ip.as_deref()?.parse().ok())
    }
}

impl From<&k8s::Service> for Service {
    fn from(service: &k8s::Service) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let cluster_ips: Vec<String> =
            spec.cluster_ips.filter(|ips| !ips.is_empty()).unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
        let (label, value) = names::INGRESS_LABEL;
        let is_ingress = service.metadata.labels.iter().flatten().any(|(k, v)| k == label && v == value);
        let written = Written {
            annotations: service.metadata.annotations.clone().unwrap_or_default(),
            labels: service.metadata.labels.clone().unwrap_or_default(),
            class: spec.load_balancer_class,
            local_traffic_only: spec.external_traffic_policy.as_deref() == Some("Local"),
            local_clients_only: spec.internal_traffic_policy.as_deref() == Some("Local"),
        };
        Self {
            meta: Meta::from(&service.metadata),
            type_: match spec.type_.as_deref() {
                Some("NodePort") => ServiceType::NodePort,
                Some("LoadBalancer") => ServiceType::LoadBalancer,
                Some("ExternalName") => ServiceType::ExternalName,
                _ => ServiceType::ClusterIp,
            },
            headless: cluster_ips.iter().any(|ip| ip == "None"),
            is_ipv6_first: match spec.ip_families.iter().flatten().next() {
                Some(family) => family == "IPv6",
                None => cluster_ips.first().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
            },
            cluster_ips: cluster_ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
            external_ips: spec.external_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect(),
            load_balancer: status
                .and_then(|status| status.ingress.as_ref())
                .into_iter()
                .flatten()
                .map(LoadBalancerAddress::from)
                .collect(),
            source_ranges: spec.load_balancer_source_ranges.unwrap_or_default(),
            keeps_clients: spec.session_affinity.as_deref() == Some("ClientIP"),
            ports: spec.ports.iter().flatten().filter_map(|port| ServicePort::try_from(port).ok()).collect(),
            has_selector: spec.selector.is_some_and(|selector| !selector.is_empty()),
            is_ingress,
            written: if is_ingress { written } else { Written::default() },
        }
    }
}

impl From<&k8s::LoadBalancerIngress> for LoadBalancerAddress {
    fn from(address: &k8s::LoadBalancerIngress) -> Self {
        let port =
            |it: &k8s::PortStatus| PortStatus { port: it.port, protocol: it.protocol.clone(), error: it.error.clone() };
        Self {
            ip: address.ip.clone(),
            hostname: address.hostname.clone(),
            ports: address.ports.iter().flatten().map(port).collect(),
        }
    }
}

impl TryFrom<&k8s::ServicePort> for ServicePort {
    type Error = std::num::TryFromIntError;

    fn try_from(port: &k8s::ServicePort) -> Result<Self, Self::Error> {
        Ok(Self {
            name: port.name.clone().unwrap_or_default(),
            port: u16::try_from(port.port)?,
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            protocol: Protocol::from_name(port.protocol.as_deref()),
            app_protocol: port.app_protocol.clone(),
        })
    }
}

impl Protocol {
    /// From the text in a manifest; TCP when absent.
    #[must_use]
    pub fn from_name(name: Option<&str>) -> Self {
        if matches!(name, None | Some("TCP")) { Self::Tcp } else { Self::Other }
    }
}
