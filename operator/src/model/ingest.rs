//! Ingress to HTTP model. What cannot be served is left out, or answered with 503, and told with its field path.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Action, Backend, Host, HttpModel, PathMatch, Route};
use crate::index::Index;
use crate::problem::{Problem, Reason};
use crate::source::{self, Ingress, Name, PathRule, PathType, PortRef};

/// Understands an Ingress. The index answers which Services and ports exist. Costs the size of the Ingress.
#[must_use]
pub fn ingest(ingress: &Ingress, index: &Index) -> (HttpModel, Vec<Problem>) {
    let mut ingest = Ingest { ingress, index, hosts: BTreeMap::new(), problems: Vec::new() };
    for (at, rule) in ingress.rules.iter().enumerate() {
        ingest.rule(&format!("spec.rules[{at}]"), rule);
    }
    ingest.default_backend();
    ingest.ignored();
    let route = |(matcher, action)| Route { matcher, action };
    let hosts = ingest.hosts.into_iter().map(|(host, routes)| (host, routes.into_iter().map(route).collect()));
    (HttpModel { hosts: hosts.collect() }, ingest.problems)
}

struct Ingest<'a> {
    ingress: &'a Ingress,
    index: &'a Index,
    hosts: BTreeMap<Host, BTreeMap<PathMatch, Action>>,
    problems: Vec<Problem>,
}

impl Ingest<'_> {
    fn rule(&mut self, field: &str, rule: &source::Rule) {
        let host = match parse_host(rule.host.as_deref()) {
            Ok(host) => host,
            Err(why) => return self.error(Reason::Invalid, format!("{field}.host"), why),
        };
        let Some(paths) = &rule.paths else {
            let why = "a rule without http serves nothing and is ignored";
            return self.problems.push(Problem::warning(Reason::Unsupported, field, why));
        };
        for (at, path) in paths.iter().enumerate() {
            self.path(&host, &format!("{field}.http.paths[{at}]"), path);
        }
    }

    fn path(&mut self, host: &Host, field: &str, rule: &PathRule) {
        let matcher = match parse_path(rule) {
            Ok(matcher) => matcher,
            Err((part, why)) => return self.error(Reason::Invalid, format!("{field}.{part}"), why),
        };
        let action = self.action(&format!("{field}.backend"), &rule.backend);
        match self.hosts.entry(host.clone()).or_default().entry(matcher) {
            Entry::Vacant(free) => drop(free.insert(action)),
            Entry::Occupied(_) => {
                let why = "the same host and path stand further up in this Ingress; the first one counts";
                self.problems.push(Problem::warning(Reason::Conflict, field, why));
            }
        }
    }

    /// Answers whatever no rule matches: unknown hosts, and the paths of known hosts that are not named.
    fn default_backend(&mut self) {
        let Some(backend) = &self.ingress.default_backend else { return };
        let action = self.action("spec.defaultBackend", backend);
        self.hosts.entry(Host::Any).or_default();
        for routes in self.hosts.values_mut() {
            routes.entry(PathMatch::Prefix("/".to_owned())).or_insert_with(|| action.clone());
        }
    }

    /// A backend that cannot be reached keeps its path, so that no other route takes its requests by accident.
    fn action(&mut self, field: &str, backend: &source::Backend) -> Action {
        match self.backend(field, backend) {
            Ok(backend) => Action::Forward(backend),
            Err(problem) => {
                self.problems.push(problem);
                Action::Unavailable
            }
        }
    }

    fn backend(&self, field: &str, backend: &source::Backend) -> Result<Backend, Problem> {
        let unavailable = "requests get 503";
        let (name, port) = match backend {
            source::Backend::Service { name, port } => (name, port),
            source::Backend::Resource(resource) => {
                let why = format!("a resource ({resource}) cannot serve requests, only a service can; {unavailable}");
                return Err(Problem::error(Reason::Unsupported, format!("{field}.resource"), why));
            }
            source::Backend::Missing => {
                let why = format!("names no service; {unavailable}");
                return Err(Problem::error(Reason::Invalid, field, why));
            }
        };
        let service_name = Name::new(&self.ingress.meta.name.namespace, name);
        let Some(service) = self.index.service(&service_name) else {
            let why = format!("Service {service_name} does not exist; {unavailable} until it does");
            return Err(Problem::error(Reason::ServiceNotFound, format!("{field}.service.name"), why));
        };
        let field = format!("{field}.service.port");
        let (found, port) = match port {
            PortRef::Number(number) => {
                (u16::try_from(*number).ok().and_then(|number| service.port(number)), number.to_string())
            }
            PortRef::Name(name) => (service.port_named(name), name.clone()),
            PortRef::Missing => {
                let why = format!("has neither name nor number; {unavailable}");
                return Err(Problem::error(Reason::Invalid, field, why));
            }
        };
        if found.is_none() {
            let ports: Vec<_> = service.tcp_ports().map(|it| format!("{} {}", it.port, it.name)).collect();
            let ports: Vec<_> = ports.iter().map(|port| port.trim_end()).collect();
            let has = if ports.is_empty() { "it has none".to_owned() } else { format!("it has {}", ports.join(", ")) };
            let why = format!("Service {service_name} has no TCP port {port} ({has}); {unavailable}");
            return Err(Problem::error(Reason::PortNotFound, field, why));
        }
        Ok(Backend { service: service_name, port })
    }

    /// What is written in the Ingress and has no effect.
    fn ignored(&mut self) {
        for (option, value) in &self.ingress.options {
            let field = format!("metadata.annotations[\"{}{option}\"]", axoneme_api::names::INGRESS_PREFIX);
            let why = format!("{value:?} has no effect: this annotation is not supported");
            self.problems.push(Problem::warning(Reason::Unsupported, field, why));
        }
        if !self.ingress.tls.is_empty() {
            let why = "TLS is not served; the hosts answer on port 80 only";
            self.problems.push(Problem::warning(Reason::Unsupported, "spec.tls", why));
        }
    }

    fn error(&mut self, reason: Reason, field: String, why: String) {
        self.problems.push(Problem::error(reason, field, why));
    }
}

fn parse_host(host: Option<&str>) -> Result<Host, String> {
    let Some(host) = host else { return Ok(Host::Any) };
    let host = host.to_ascii_lowercase();
    let plain = |name: &str| {
        let label = |label: &str| {
            let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        };
        name.split('.').all(label)
    };
    match host.strip_prefix("*.") {
        Some(rest) if plain(rest) => Ok(Host::Wildcard(rest.to_owned())),
        None if plain(&host) => Ok(Host::Exact(host)),
        _ => Err(format!("{host:?} is no DNS name, nor one with \"*.\" in front; the rule is ignored")),
    }
}

fn parse_path(rule: &PathRule) -> Result<PathMatch, (&'static str, String)> {
    let path = rule.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(("path", format!("{path:?} must begin with / and hold neither ? nor #; the path is ignored")));
    }
    match &rule.path_type {
        PathType::Exact => Ok(PathMatch::Exact(path.to_owned())),
        PathType::Prefix | PathType::ImplementationSpecific => {
            let trimmed = path.trim_end_matches('/');
            Ok(PathMatch::Prefix(if trimmed.is_empty() { "/" } else { trimmed }.to_owned()))
        }
        PathType::Unknown(other) if other.is_empty() => {
            Err(("pathType", "is missing; write Prefix or Exact; the path is ignored".to_owned()))
        }
        PathType::Unknown(other) => Err((
            "pathType",
            format!("{other:?} is none of Exact, Prefix, ImplementationSpecific; the path is ignored"),
        )),
    }
}
