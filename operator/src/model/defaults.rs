//! What holds for an Ingress that does not say otherwise: the operator's flags.

use std::time::Duration;

use crate::source::Name;

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

/// Flags of the operator that concern Ingresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressDefaults {
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
    /// Annotations and labels that start so are copied to the Service.
    pub copied_prefixes: Vec<String>,
}

impl Default for IngressDefaults {
    fn default() -> Self {
        Self {
            enforce_https: true,
            redirect_code: RedirectCode::PermanentRedirect,
            secret: None,
            request_timeout: Duration::ZERO,
            stream_idle_timeout: Duration::from_secs(300),
            trusted_hops: 0,
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
