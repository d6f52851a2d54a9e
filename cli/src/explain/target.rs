//! What a person asks about: a Service or a URL.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axoneme_api::intent::Redirect;
use axoneme_operator::{Kind, Name, ObjectKey, index::Index, source::ServiceType};

/// A Service's port, or all of them; or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Service { namespace: Option<String>, name: String, port: Option<u16> },
    Url(Url),
}

/// `http[s]://host[:port]/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// In lower case, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With the query.
    pub(crate) path: String,
}

/// Where a target's packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A Service of the cluster; no port for all of its ports.
    Service(Name, Option<u16>),
    /// An address.
    Address(SocketAddr),
    /// A name that DNS outside of the cluster leads anywhere, and a port.
    Name(String, u16),
}

/// How sure it is that a redirect gets the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// That is where they go.
    Certain,
    /// If DNS leads the name there.
    ByName,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no http://host[:port]/path or https://...");
        let (https, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The brackets of IPv6 have colons in them.
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, default_port(https)),
        };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, host, port, path })
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl Url {
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The `Host` header of a client.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.https) { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        let wrong = || {
            format!(
                "{text:?} is neither a Service (namespace/name[:port], name[:port], name.namespace.svc[:port]) nor a URL"
            )
        };
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => match name.split('.').collect::<Vec<_>>()[..] {
                [name] => (None, name),
                [name, namespace] | [name, namespace, "svc", ..] => (Some(namespace), name),
                _ => return Err(wrong()),
            },
        };
        let plain = |part: &str| !part.is_empty() && !part.contains([':', '/', '.', ' ']);
        if !plain(name) || !namespace.is_none_or(plain) {
            return Err(wrong());
        }
        Ok(Self::Service { namespace: namespace.map(str::to_owned), name: name.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { namespace, name, port } => {
                namespace.as_ref().map_or(Ok(()), |namespace| write!(f, "{namespace}/"))?;
                f.write_str(name)?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl Target {
    /// Where its packets go, for a client of this namespace. As in a pod, a short name means a Service where there is one.
    pub(super) fn destination(&self, index: &Index, namespace: &str) -> Destination {
        let url = match self {
            Self::Service { namespace: own, name, port } => {
                return Destination::Service(Name::new(own.as_deref().unwrap_or(namespace), name), *port);
            }
            Self::Url(url) => url,
        };
        if let Some(ip) = url.address() {
            let has_it = |key: &ObjectKey| index.service(&key.name).is_some_and(|it| it.addresses().contains(&ip));
            return match index.keys(Kind::Service).into_iter().find(has_it) {
                Some(owner) => Destination::Service(owner.name, Some(url.port)),
                None => Destination::Address(SocketAddr::new(ip, url.port)),
            };
        }
        let there = |name: Name| index.service(&name).is_some().then_some(name);
        let service = match url.host.split('.').collect::<Vec<_>>()[..] {
            [name, namespace, "svc", ..] => Some(Name::new(namespace, name)),
            [name, namespace] => there(Name::new(namespace, name)),
            [name] => there(Name::new(namespace, name)),
            _ => None,
        };
        match service {
            Some(service) => Destination::Service(service, Some(url.port)),
            None => Destination::Name(url.host.clone(), url.port),
        }
    }
}

impl Destination {
    /// Whether a redirect, whose name is `namespace/service:port`, gets the packets.
    pub(super) fn reaches(&self, name: &str, redirect: &Redirect, index: &Index) -> Option<Reach> {
        let (service, own_port) = name.rsplit_once(':')?;
        let by_node_port = |port: &u16| redirect.node_ports.contains(&u32::from(*port));
        // A name that is not of the cluster leads to no cluster IP.
        let is_open = || {
            let (namespace, name) = service.split_once('/').unwrap_or_default();
            let service = index.service(&Name::new(namespace, name));
            service.is_some_and(|it| it.type_ == ServiceType::LoadBalancer || !it.external_ips.is_empty())
        };
        match self {
            Self::Service(wanted, port) => {
                let fits = service == wanted.to_string() && port.is_none_or(|port| own_port == port.to_string());
                fits.then_some(Reach::Certain)
            }
            // An address of no Service may be that of a node.
            Self::Address(address) => by_node_port(&address.port()).then_some(Reach::ByName),
            Self::Name(_, port) => {
                ((own_port == port.to_string() && is_open()) || by_node_port(port)).then_some(Reach::ByName)
            }
        }
    }

    /// The Service, when it is one.
    pub(super) fn service(&self) -> Option<&Name> {
        match self {
            Self::Service(name, _) => Some(name),
            Self::Address(_) | Self::Name(..) => None,
        }
    }

    /// What happens to packets that the mesh does not take.
    pub(super) fn otherwise(&self, index: &Index) -> String {
        let Self::Service(name, port) = self else {
            return "no Ingress or Envoy config answers it".to_owned();
        };
        let Some(service) = index.service(name) else {
            return format!("there is no Service {name}");
        };
        match port {
            Some(port) if service.port(*port).is_none() => format!("Service {name} has no TCP port {port}"),
            _ => "no Ingress or Envoy config takes it, so it goes where kube-proxy sends it".to_owned(),
        }
    }
}
