//! Annotations of an Ingress. A value that does not parse is told and leaves the default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

use super::IngressDefaults;
use crate::problem::{Problem, Reason};
use crate::source::{Ingress, ServiceType};

/// What tools write on objects to find their own again. A copy of it on the Service would make the Service theirs.
const TRACKING: [&str; 6] = [
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "app.kubernetes.io/",
    "kubectl.kubernetes.io/",
];

/// What the annotations of an Ingress ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `force-https`: whether plain requests for hosts with TLS are sent to https.
    pub force_https: Option<bool>,
    /// `request-timeout`; zero for none.
    pub request_timeout: Option<Duration>,
    /// `stream-idle-timeout`; zero for none.
    pub stream_idle_timeout: Option<Duration>,
    /// `path-type`: paths of type `ImplementationSpecific` are expressions, not prefixes.
    pub regex: bool,
    /// `escaped-slashes`.
    pub escaped_slashes: EscapedSlashes,
    /// `header-underscores`.
    pub underscores: Underscores,
    /// What concerns the Service.
    pub service: ServiceOptions,
}

/// Addresses that share their first bits, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// One of them.
    pub address: IpAddr,
    /// How many bits they share.
    pub bits: u8,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// What becomes of `%2F` and `%5C` in paths: a backend may take them for slashes, the routes do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// The client is told to ask again with slashes.
    #[default]
    Redirect,
    /// 400.
    Reject,
    /// They are passed on.
    Keep,
}

/// What becomes of header names with an underscore: some backends take `x_user` for `x-user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They are left out.
    #[default]
    Drop,
    /// 400.
    Reject,
    /// They are passed on.
    Allow,
}

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
}

impl From<RequestedType> for ServiceType {
    fn from(type_: RequestedType) -> Self {
        match type_ {
            RequestedType::LoadBalancer => Self::LoadBalancer,
            RequestedType::NodePort => Self::NodePort,
        }
    }
}

impl Options {
    /// Understands the annotations of an Ingress.
    #[must_use]
    pub fn of(ingress: &Ingress, defaults: &IngressDefaults) -> (Self, Vec<Problem>) {
        let mut reader = Reader { ingress, known: BTreeSet::new(), problems: Vec::new() };
        reader.mode();
        let service = reader.service(defaults);
        let options = Self {
            force_https: reader.take("force-https", "enabled or disabled", boolean),
            request_timeout: reader.take("request-timeout", A_DURATION, duration),
            stream_idle_timeout: reader.take("stream-idle-timeout", A_DURATION, duration),
            regex: reader
                .take("path-type", "prefix or regex", |value| match value {
                    "prefix" => Some(false),
                    "regex" => Some(true),
                    _ => None,
                })
                .unwrap_or_default(),
            escaped_slashes: reader
                .take("escaped-slashes", "redirect, reject or keep", |value| match value {
                    "redirect" => Some(EscapedSlashes::Redirect),
                    "reject" => Some(EscapedSlashes::Reject),
                    "keep" => Some(EscapedSlashes::Keep),
                    _ => None,
                })
                .unwrap_or_default(),
            underscores: reader
                .take("header-underscores", "drop, reject or allow", |value| match value {
                    "drop" => Some(Underscores::Drop),
                    "reject" => Some(Underscores::Reject),
                    "allow" => Some(Underscores::Allow),
                    _ => None,
                })
                .unwrap_or_default(),
            service,
        };
        reader.others();
        (options, reader.problems)
    }
}

const SOURCES: &str = "load-balancer-source-ranges";

/// The annotation with which a Service says the same.
const SERVICE_SOURCES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Seconds: what Envoy can count in nanoseconds.
const LONGEST: u64 = 9_223_372_036;

const A_DURATION: &str = "a duration such as 30s, 1m30s or 0s";

struct Reader<'a> {
    ingress: &'a Ingress,
    known: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn take<T>(&mut self, option: &'static str, wants: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.known.insert(option);
        let value = self.ingress.options.get(option)?.value.trim();
        let parsed = parse(value);
        if parsed.is_none() {
            self.warn(Reason::Invalid, option, format!("{value:?} is not {wants}; the default holds"));
        }
        parsed
    }

    fn warn(&mut self, reason: Reason, option: &str, why: String) {
        let Some(annotation) = self.ingress.options.get(option) else { return };
        let field = format!("metadata.annotations[\"{}\"]", annotation.key);
        self.problems.push(Problem::warning(reason, field, why));
    }

    fn mode(&mut self) {
        let shared = |value: &str| match value {
            "dedicated" => Some(false),
            "shared" => Some(true),
            _ => None,
        };
        if self.take("loadbalancer-mode", "dedicated or shared", shared) == Some(true) {
            let why = "shared mode is not there yet; this Ingress gets an address of its own".to_owned();
            self.warn(Reason::Unsupported, "loadbalancer-mode", why);
        }
    }

    fn service(&mut self, defaults: &IngressDefaults) -> ServiceOptions {
        let type_ = |value: &str| match value {
            "LoadBalancer" => Some(RequestedType::LoadBalancer),
            "NodePort" => Some(RequestedType::NodePort),
            _ => None,
        };
        let policy = |value: &str| match value {
            "Cluster" => Some(false),
            "Local" => Some(true),
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
                .take("service-external-traffic-policy", "Cluster or Local", policy)
                .unwrap_or_default(),
            insecure_node_port: self.take("insecure-node-port", "a port", port),
            secure_node_port: self.take("secure-node-port", "a port", port),
            sources: self.sources(),
            annotations: copied(&self.ingress.annotations),
            labels: copied(&self.ingress.labels),
        };
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
        let standard = (SERVICE_SOURCES, self.ingress.annotations.get(SERVICE_SOURCES));
        let own = self.ingress.options.get(SOURCES).map(|it| (it.key.as_str(), Some(&it.value)));
        let (key, Some(value)) = own.unwrap_or(standard) else { return None };
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        let (ranges, wrong): (Vec<_>, Vec<_>) = parts.map(|part| range(part).ok_or(part)).partition(Result::is_ok);
        if !wrong.is_empty() || ranges.is_empty() {
            let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
            let why = format!("{:?} is no list of ranges such as 192.0.2.0/24; it lets nobody in", wrong.join(","));
            self.problems.push(Problem::error(Reason::Invalid, format!("metadata.annotations[\"{key}\"]"), why));
        }
        Some(ranges.into_iter().flatten().collect())
    }

    /// What is written and has no effect.
    fn others(&mut self) {
        let ingress = self.ingress;
        for option in ingress.options.keys() {
            if !self.known.contains(option.as_str()) {
                self.warn(Reason::Unsupported, option, "has no effect: this annotation is not supported".to_owned());
            }
        }
    }
}

/// As Cilium reads it: `enabled`, `disabled`, and the words of Go's `ParseBool`.
fn boolean(value: &str) -> Option<bool> {
    match value {
        "enabled" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "disabled" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn range(text: &str) -> Option<Range> {
    let (address, bits) = text.split_once('/')?;
    let range = Range { address: address.parse().ok()?, bits: bits.parse().ok()? };
    (range.bits <= if range.address.is_ipv4() { 32 } else { 128 }).then_some(range)
}

/// As Go writes durations: `10s`, `1m30s`, `500ms`, `0`. `None` when it is none, or negative.
#[must_use]
pub fn duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    // Spaces, words and ISO 8601 are of the parser, not of Go.
    let is_go = value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains(char::is_whitespace);
    let parsed: SignedDuration = is_go.then(|| value.parse().ok()).flatten()?;
    Duration::try_from(parsed).ok().filter(|duration| duration.as_secs() <= LONGEST)
}
