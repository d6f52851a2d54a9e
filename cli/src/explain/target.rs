//! What a person asks about: a Service or a URL.

use std::{fmt, net::IpAddr, str::FromStr};

use axoneme_operator::{Engine, Name};
use serde_json::Value;

/// A Service's port, or all of them; or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Service { namespace: String, name: String, port: Option<u16> },
    Url { host: String, port: u16, path: String },
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither namespace/service[:port] nor http://host[:port]/path");
        if let Some(rest) = text.strip_prefix("http://") {
            let (authority, path) =
                rest.split_once('/').map_or((rest, "/".to_owned()), |(it, path)| (it, format!("/{path}")));
            // The brackets of IPv6 have colons in them.
            let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
                Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
                None => (authority, 80),
            };
            let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
            return if host.is_empty() { Err(wrong()) } else { Ok(Self::Url { host, port, path }) };
        }
        let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (name, port) = match rest.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
            None => (rest, None),
        };
        let plain = |part: &str| !part.is_empty() && !part.contains([':', '/']);
        if !plain(namespace) || !plain(name) {
            return Err(wrong());
        }
        Ok(Self::Service { namespace: namespace.to_owned(), name: name.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { namespace, name, port: None } => write!(f, "{namespace}/{name}"),
            Self::Service { namespace, name, port: Some(port) } => write!(f, "{namespace}/{name}:{port}"),
            Self::Url { host, port, path } => write!(f, "http://{host}:{port}{path}"),
        }
    }
}

impl Target {
    pub(super) fn is_url(&self) -> bool {
        matches!(self, Self::Url { .. })
    }

    /// Where a redirect, as [`show`](crate::input::show) gives it, takes this target's traffic; none if it does not.
    pub(super) fn reaches(&self, redirect: &Value) -> Option<String> {
        let (service, own_port) = redirect["service"].as_str()?.rsplit_once(':')?;
        let addresses: Vec<&str> = redirect["addresses"].as_array()?.iter().filter_map(Value::as_str).collect();
        let reached = match self {
            Self::Service { namespace, name, port } => {
                service == format!("{namespace}/{name}") && port.is_none_or(|port| own_port == port.to_string())
            }
            Self::Url { host, port, .. } => {
                let port = port.to_string();
                match host.parse::<IpAddr>() {
                    Ok(ip) => addresses
                        .iter()
                        .any(|it| it.parse() == Ok(std::net::SocketAddr::new(ip, port.parse().unwrap_or(0)))),
                    // The name of a Service of the cluster means that Service; any other name may lead here.
                    Err(_) => own_port == port && is_name_of(host, service).unwrap_or(true),
                }
            }
        };
        reached.then(|| addresses.join(", "))
    }

    /// Whether a problem's text is about this target.
    pub(super) fn is_named_in(&self, message: &str) -> bool {
        let words = |what: &str| message.split([' ', ',', ';', '"', ':']).any(|word| word == what);
        match self {
            Self::Service { namespace, name, .. } => words(&format!("{namespace}/{name}")),
            Self::Url { host, .. } => words(host),
        }
    }

    /// What happens to traffic that the mesh does not take.
    pub(super) fn otherwise(&self, engine: &Engine) -> String {
        let Self::Service { namespace, name, port } = self else {
            return "no Ingress or Envoy config answers it".to_owned();
        };
        let Some(service) = engine.index().service(&Name::new(namespace, name)) else {
            return "there is no such Service".to_owned();
        };
        match port {
            Some(port) if service.port(*port).is_none() => format!("the Service has no TCP port {port}"),
            _ => "no Ingress or Envoy config takes it, so it goes where kube-proxy sends it".to_owned(),
        }
    }
}

/// Whether a DNS name is that of a Service `namespace/name`; none when it is the name of no Service.
fn is_name_of(host: &str, service: &str) -> Option<bool> {
    let (name, rest) = host.split_once('.')?;
    let namespace = rest.strip_suffix(".svc.cluster.local").or_else(|| rest.strip_suffix(".svc"))?;
    Some(service == format!("{namespace}/{name}"))
}
