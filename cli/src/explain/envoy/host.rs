//! Which virtual host of a route configuration a request belongs to.

use serde_json::Value;

use super::{super::request::Request, list, texts};

/// A domain with its virtual host.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Fit<'a> {
    pub(in super::super) domain: &'a str,
    pub(in super::super) host: &'a Value,
}

/// What was found for a request.
#[derive(Debug)]
pub(in super::super) struct Hosts<'a> {
    /// The one that Envoy takes.
    pub(in super::super) taken: Option<Fit<'a>>,
    /// Those that fit too, but less exactly.
    pub(in super::super) passed: Vec<&'a str>,
    /// Those that do not fit.
    pub(in super::super) others: Vec<&'a str>,
}

/// Searches the domains as Envoy does: the exact one, then the longest suffix, the longest prefix, anything.
pub(in super::super) fn choose<'a>(configuration: &'a Value, request: &Request) -> Hosts<'a> {
    let asked = match configuration["vhost_header"].as_str() {
        Some(header) => request.header(header).unwrap_or_default().to_owned(),
        None => request.authority.clone(),
    };
    let mut asked = asked.to_ascii_lowercase();
    if configuration["ignore_port_in_host_matching"].as_bool() == Some(true) {
        asked = without_port(&asked).to_owned();
    }
    let mut fits = Vec::new();
    let mut others = Vec::new();
    for host in list(&configuration["virtual_hosts"]) {
        for domain in texts(&host["domains"]) {
            match rank(domain, &asked) {
                Some(rank) => fits.push((rank, Fit { domain, host })),
                None => others.push(domain),
            }
        }
    }
    fits.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let mut fits = fits.into_iter().map(|(_, fit)| fit);
    Hosts { taken: fits.next(), passed: fits.map(|fit| fit.domain).collect(), others }
}

/// An authority without its port.
pub(in super::super) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => host,
        _ => authority,
    }
}

/// How well a domain fits, the more the better.
fn rank(domain: &str, host: &str) -> Option<(u8, usize)> {
    let domain = domain.to_ascii_lowercase();
    let longer = |part: &str| host.len() > part.len();
    match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(""), _) => Some((0, 0)),
        (Some(suffix), _) => (host.ends_with(suffix) && longer(suffix)).then_some((2, suffix.len())),
        (None, Some(prefix)) => (host.starts_with(prefix) && longer(prefix)).then_some((1, prefix.len())),
        (None, None) => (domain == host).then_some((3, 0)),
    }
}
