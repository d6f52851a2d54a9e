//! Names of hosts, as rules and certificates are for them.

/// Which requests, by their `Host`; which handshakes, by the name that the client asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Every host that is not named otherwise.
    Any,
    /// This one, in lower case.
    Exact(String),
    /// Exactly one label more than this: `*.example.org` is kept as `example.org`.
    Wildcard(String),
}

impl Host {
    /// Understands a host as written.
    ///
    /// # Errors
    /// Why it is none, for a sentence that begins with its field.
    pub fn parse(host: &str) -> Result<Self, String> {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(rest) if is_dns_name(rest) => Ok(Self::Wildcard(rest.to_owned())),
            None if is_dns_name(&host) => Ok(Self::Exact(host)),
            _ => Err(format!("{host:?} is no DNS name, nor one with \"*.\" in front")),
        }
    }

    /// The wildcard that a host falls under, if it is not one itself.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        let Self::Exact(host) = self else { return None };
        host.split_once('.').map(|(_, rest)| Self::Wildcard(rest.to_owned()))
    }

    /// As Envoy writes it in domains and server names.
    #[must_use]
    pub fn pattern(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Exact(host) => host.clone(),
            Self::Wildcard(rest) => format!("*.{rest}"),
        }
    }
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label)
}
