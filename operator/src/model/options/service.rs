//! What annotations say of the Service of an Ingress, and of who may connect to it.

use std::collections::{BTreeMap, BTreeSet};

use super::Reader;
use super::values::{Range, range};
use crate::model::IngressDefaults;
use crate::problem::{Problem, Reason};
use crate::source::ServiceType;

/// What tools write on objects to find their own again. A copy of it on the Service would make the Service theirs.
const TRACKING: [&str; 6] = [
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "app.kubernetes.io/",
    "kubectl.kubernetes.io/",
];

/// Annotations that are about nothing but the Service.
const OF_SERVICE: [&str; 5] =
    ["service-type", "loadbalancer-class", "service-external-traffic-policy", "insecure-node-port", "secure-node-port"];

const SOURCES: &str = "load-balancer-source-ranges";

/// The annotation with which a Service says the same.
const SERVICE_SOURCES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// What annotations say of the Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOptions {
    /// `service-type`.
    pub type_: RequestedType,
    /// `loadbalancer-class`, of a load balancer only.
    pub class: Option<String>,
    /// `service-external-traffic-policy` is `Local`.
    pub local_traffic_only: bool,
    /// `insecure-node-port`, without a load balancer only.
    pub insecure_node_port: Option<u16>,
    /// `secure-node-port`, likewise.
    pub secure_node_port: Option<u16>,
    /// `load-balancer-source-ranges`: who may connect. `None`: everybody. Ours is no copy of what the load balancer does:
    /// the redirect takes connections before kube-proxy could look at them.
    pub sources: Option<BTreeSet<Range>>,
    /// Annotations that are copied.
    pub annotations: BTreeMap<String, String>,
    /// Labels that are copied.
    pub labels: BTreeMap<String, String>,
}

/// The types that the Service of an Ingress can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestedType {
    /// The default.
    #[default]
    LoadBalancer,
    /// Ports of the nodes only.
    NodePort,
    /// Neither: in host network mode the listener itself is bound to a port of the nodes.
    ClusterIp,
}

impl From<RequestedType> for ServiceType {
    fn from(type_: RequestedType) -> Self {
        match type_ {
            RequestedType::LoadBalancer => Self::LoadBalancer,
            RequestedType::NodePort => Self::NodePort,
            RequestedType::ClusterIp => Self::ClusterIp,
        }
    }
}

/// Whether an `externalTrafficPolicy` is `Local`. `None` for what is no policy.
#[must_use]
pub fn is_local(policy: &str) -> Option<bool> {
    match policy {
        "Cluster" => Some(false),
        "Local" => Some(true),
        _ => None,
    }
}

impl Reader<'_> {
    pub(super) fn service(&mut self, defaults: &IngressDefaults) -> ServiceOptions {
        let type_ = |value: &str| match value {
            "LoadBalancer" => Some(RequestedType::LoadBalancer),
            "NodePort" => Some(RequestedType::NodePort),
            _ => None,
        };
        let port = |value: &str| value.parse().ok().filter(|port| *port > 0);
        let class = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let copied = |all: &BTreeMap<String, String>| {
            let starts = |key: &str, prefix: &str| !prefix.is_empty() && key.starts_with(prefix);
            let is_copied = |key: &str| defaults.copied_prefixes.iter().any(|prefix| starts(key, prefix));
            let is_tracking = |key: &str| TRACKING.iter().any(|prefix| starts(key, prefix));
            // What it says stands in the Service's own field.
            let wanted = all.iter().filter(|(key, _)| is_copied(key) && !is_tracking(key) && *key != SERVICE_SOURCES);
            wanted.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let mut options = ServiceOptions {
            type_: self.take("service-type", "LoadBalancer or NodePort", type_).unwrap_or_default(),
            class: self.take("loadbalancer-class", "a name", class),
            local_traffic_only: self
                .take("service-external-traffic-policy", "Cluster or Local", is_local)
                .unwrap_or_default(),
            insecure_node_port: self.take("insecure-node-port", "a port", port),
            secure_node_port: self.take("secure-node-port", "a port", port),
            sources: self.sources(),
            annotations: copied(&self.ingress.annotations),
            labels: copied(&self.ingress.labels),
        };
        if defaults.host_network.is_some() {
            for option in OF_SERVICE {
                self.warn(Reason::Unsupported, option, "has no effect in host network mode".to_owned());
            }
            let (sources, annotations, labels) = (options.sources, options.annotations, options.labels);
            let type_ = RequestedType::ClusterIp;
            return ServiceOptions { type_, sources, annotations, labels, ..ServiceOptions::default() };
        }
        if options.type_ == RequestedType::NodePort {
            if options.class.take().is_some() {
                let why = "has no effect on a Service of type NodePort".to_owned();
                self.warn(Reason::Unsupported, "loadbalancer-class", why);
            }
            return options;
        }
        let mut ports = [&mut options.insecure_node_port, &mut options.secure_node_port];
        for (option, port) in ["insecure-node-port", "secure-node-port"].into_iter().zip(&mut ports) {
            if port.take().is_some() {
                let why = "has an effect with service-type NodePort only".to_owned();
                self.warn(Reason::Unsupported, option, why);
            }
        }
        options
    }

    /// What is no range lets nobody in, and never everybody.
    fn sources(&mut self) -> Option<BTreeSet<Range>> {
        self.known.insert(SOURCES);
        let own = self.ingress.options.get(SOURCES).map(|it| (it.key.as_str(), &it.value));
        let standard = || self.ingress.annotations.get(SERVICE_SOURCES).map(|value| (SERVICE_SOURCES, value));
        let class = || self.class.get(SOURCES).map(|value| (SOURCES, value));
        let (key, value) = own.or_else(standard).or_else(class)?;
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        let (ranges, wrong): (Vec<_>, Vec<_>) = parts.map(|part| range(part).ok_or(part)).partition(Result::is_ok);
        if !wrong.is_empty() || ranges.is_empty() {
            let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
            let why = format!("{:?} is no list of ranges such as 192.0.2.0/24; it lets nobody in", wrong.join(","));
            self.problems.push(Problem::error(Reason::Invalid, format!("metadata.annotations[\"{key}\"]"), why));
        }
        Some(ranges.into_iter().flatten().collect())
    }
}
