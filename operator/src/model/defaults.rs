//! What holds for an Ingress that does not say otherwise: what its class says, and the operator's flags.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use axoneme_api::names;

use super::options::Mode;
use crate::source::{Name, Selector};

/// Prefixes of annotations and labels that are copied to the Service of an Ingress: those of Cilium, and MetalLB's.
const COPIED: [&str; 7] = [
    "lbipam.cilium.io/",
    "nodeipam.cilium.io/",
    "service.beta.kubernetes.io/",
    "service.kubernetes.io/",
    "cloud.google.com/",
    "metallb.io/",
    "metallb.universe.tf/",
];

/// Where the operator runs, unless it is told otherwise.
const NAMESPACE: &str = "axoneme";

/// Flags of the operator that concern Ingresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressDefaults {
    /// At whose address.
    pub mode: Mode,
    /// The Service of all Ingresses in shared mode.
    pub shared_service: Name,
    /// Whether that Service has `externalTrafficPolicy: Local`.
    pub shared_local_traffic_only: bool,
    /// Whether plain requests for hosts with TLS are sent to https.
    pub enforce_https: bool,
    /// How they are.
    pub redirect_code: RedirectCode,
    /// The certificate of hosts whose `tls` entry names none, of any namespace.
    pub secret: Option<Name>,
    /// How long a request may take, zero for as long as it wants.
    pub request_timeout: Duration,
    /// How long a request may be silent in both directions, zero for as long as it wants.
    pub stream_idle_timeout: Duration,
    /// How many proxies in front of the mesh append to `x-forwarded-for` and are believed.
    pub trusted_hops: u32,
    /// Whether the peer of a connection is the client, so that its address is what `x-forwarded-for` must end with. Otherwise the
    /// header is taken as it comes.
    pub use_remote_address: bool,
    /// Whether clients must say their address in a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Whether Ingresses are served at ports of the nodes, and not by load balancers.
    pub host_network: Option<HostNetwork>,
    /// What its class says, by what follows the prefix of an annotation: it stands before the flags.
    pub class: BTreeMap<String, String>,
    /// Annotations and labels that start so are copied to the Service.
    pub copied_prefixes: Vec<String>,
}

/// Ingresses are served at ports of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNetwork {
    /// Which nodes. `None`: all.
    pub nodes: Option<Selector>,
    /// Ports that are not for them: those of redirected listeners.
    pub proxy_ports: RangeInclusive<u16>,
    /// The port of all Ingresses in shared mode.
    pub shared_port: u16,
}

impl HostNetwork {
    /// The port that is taken when none is named, as Cilium does.
    pub const PORT: u16 = 8080;
}

impl Default for IngressDefaults {
    fn default() -> Self {
        Self {
            mode: Mode::Dedicated,
            shared_service: Name::new(NAMESPACE, names::SHARED_SERVICE),
            shared_local_traffic_only: false,
            enforce_https: true,
            redirect_code: RedirectCode::PermanentRedirect,
            secret: None,
            request_timeout: Duration::ZERO,
            stream_idle_timeout: Duration::from_secs(300),
            trusted_hops: 0,
            use_remote_address: true,
            proxy_protocol: false,
            host_network: None,
            class: BTreeMap::new(),
            copied_prefixes: COPIED.map(str::to_owned).into(),
        }
    }
}

/// The answer that sends a plain request to https.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectCode {
    /// 301, which lets clients turn a POST into a GET.
    MovedPermanently,
    /// 308, which does not.
    #[default]
    PermanentRedirect,
}

impl RedirectCode {
    /// The name that Envoy gives it: `RedirectAction.RedirectResponseCode`.
    #[must_use]
    pub const fn envoy_name(self) -> &'static str {
        match self {
            Self::MovedPermanently => "MOVED_PERMANENTLY",
            Self::PermanentRedirect => "PERMANENT_REDIRECT",
        }
    }
}

impl TryFrom<u16> for RedirectCode {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, Self::Error> {
        match code {
            301 => Ok(Self::MovedPermanently),
            308 => Ok(Self::PermanentRedirect),
            other => Err(format!("{other} is neither 301 nor 308")),
        }
    }
}
