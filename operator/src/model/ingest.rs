//! Ingress to HTTP model. What cannot be served is left out, or answered with 503, and told with its field path.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::certificates::{Certificates, certificates};
use super::options::{Options, Passthrough};
use super::passthrough::Passed;
use super::path::normalised;
use super::{
    Action, Backend, Connection, Host, HttpModel, IngressDefaults, Limits, PathMatch, Route, Speaks, Target,
    VirtualHost,
};
use crate::index::Index;
use crate::problem::{Problem, Reason};
use crate::source::{self, Ingress, Name, PathRule, PathType, PortRef, ServicePort, ServiceType};

/// Understands an Ingress. The index answers which Services, ports and Secrets exist. Costs the size of the Ingress.
#[must_use]
pub fn ingest(ingress: &Ingress, index: &Index, defaults: &IngressDefaults) -> (HttpModel, Vec<Problem>) {
    let (options, problems) = Options::of(ingress, defaults);
    let (hosts, passed) = (BTreeMap::new(), Passed::default());
    let mut ingest = Ingest { ingress, index, options, hosts, passed, problems };
    for (at, rule) in ingress.rules.iter().enumerate() {
        ingest.rule(&format!("spec.rules[{at}]"), rule);
    }
    let Certificates { hosts: tls, usable, problems } =
        certificates(ingress, index, defaults, &ingest.options.passthrough);
    ingest.problems.extend(problems);
    let https_only = ingest.options.force_https.unwrap_or(defaults.enforce_https).then_some(defaults.redirect_code);
    ingest.default_backend();
    if https_only.is_some() {
        tls.iter().for_each(|host| ingest.name(host));
    }

    let has_tls = |host: &Host| {
        [Some(host), host.wildcard().as_ref(), Some(&Host::Any)].into_iter().flatten().any(|it| tls.contains(it))
    };
    let virtual_host = |(host, routes): (Host, BTreeMap<PathMatch, Route>)| {
        let https_only = https_only.filter(|_| has_tls(&host));
        (host, VirtualHost { routes: routes.into_values().collect(), https_only })
    };
    let served = ingest.hosts.into_iter().map(virtual_host);
    // Nobody serves their plain requests, which would be other hosts' otherwise.
    let passed =
        ingest.passed.hosts.keys().map(|host| (host.clone(), VirtualHost { https_only, ..VirtualHost::default() }));
    let options = &ingest.options;
    let model = HttpModel {
        hosts: served.chain(passed).collect(),
        certificates: usable,
        passthrough: ingest.passed.hosts.clone(),
        exposure: options.exposure,
        limits: Limits {
            request: options.request_timeout.unwrap_or(defaults.request_timeout),
            idle: options.stream_idle_timeout.unwrap_or(defaults.stream_idle_timeout),
        },
        connection: Connection {
            idle: defaults.stream_idle_timeout,
            proxy_protocol: options.proxy_protocol.unwrap_or(defaults.proxy_protocol),
            forwarded_as_is: !defaults.use_remote_address,
            trusted_hops: defaults.trusted_hops,
            escaped_slashes: options.escaped_slashes,
            underscores: options.underscores,
        },
        sources: options.service.sources.clone(),
    };
    (model, [ingest.problems, ingest.passed.problems].concat())
}

struct Ingest<'a> {
    ingress: &'a Ingress,
    index: &'a Index,
    options: Options,
    hosts: BTreeMap<Host, BTreeMap<PathMatch, Route>>,
    passed: Passed,
    problems: Vec<Problem>,
}

impl<'a> Ingest<'a> {
    fn rule(&mut self, field: &str, rule: &source::Rule) {
        let host = match written_host(rule) {
            Ok(host) => host,
            Err(why) => {
                let why = format!("{why}; the rule is ignored");
                return self.error(Reason::Invalid, format!("{field}.host"), why);
            }
        };
        let Some(paths) = &rule.paths else {
            let why = "a rule without http serves nothing and is ignored";
            return self.problems.push(Problem::warning(Reason::Unsupported, field, why));
        };
        if self.options.passthrough.includes(&host) {
            let mut passed = std::mem::take(&mut self.passed);
            passed.rule(field, &host, paths, |field, backend| self.target(field, backend));
            self.passed = passed;
            return;
        }
        for (at, path) in paths.iter().enumerate() {
            self.path(&host, &format!("{field}.http.paths[{at}]"), path);
        }
    }

    fn path(&mut self, host: &Host, field: &str, rule: &PathRule) {
        let matcher = match parse_path(rule, self.options.regex) {
            Ok(matcher) => matcher,
            Err((part, why)) => return self.error(Reason::Invalid, format!("{field}.{part}"), why),
        };
        let action = self.action(&format!("{field}.backend"), &rule.backend);
        match self.hosts.entry(host.clone()).or_default().entry(matcher.clone()) {
            Entry::Vacant(free) => drop(free.insert(Route { matcher, action, implied: false })),
            Entry::Occupied(_) => {
                let why = "the same host and path stand further up in this Ingress; the first one counts";
                self.problems.push(Problem::warning(Reason::Conflict, field, why));
            }
        }
    }

    /// A host with TLS that no rule names for itself has the routes of the rules that cover it, so that it can go to https
    /// while others do not.
    fn name(&mut self, host: &Host) {
        let covers = [host.wildcard(), Some(Host::Any)];
        let covering = covers.iter().flatten().find_map(|host| self.hosts.get(host)).cloned();
        if let Some(mut routes) = covering {
            routes.values_mut().for_each(|route| route.implied = true);
            self.hosts.entry(host.clone()).or_insert(routes);
        }
    }

    /// Answers whatever no rule matches: unknown hosts, and the paths of known hosts that are not named.
    fn default_backend(&mut self) {
        let Some(backend) = &self.ingress.default_backend else { return };
        if self.options.passthrough == Passthrough::All {
            let why = "has no effect with TLS passthrough, which serves the hosts of rules only";
            return self.problems.push(Problem::warning(Reason::Unsupported, "spec.defaultBackend", why));
        }
        let action = self.action("spec.defaultBackend", backend);
        self.hosts.entry(Host::Any).or_default();
        for routes in self.hosts.values_mut() {
            let matcher = PathMatch::Prefix("/".to_owned());
            let route = Route { matcher: matcher.clone(), action: action.clone(), implied: true };
            routes.entry(matcher).or_insert(route);
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

    fn backend(&mut self, field: &str, backend: &source::Backend) -> Result<Backend, Problem> {
        let (Target { service, port, keeps_clients }, found) = self.find(field, backend, "requests get 503")?;
        let speaks = self.speaks(&format!("{field}.service.port"), &service, found);
        Ok(Backend { service, port, speaks, keeps_clients })
    }

    fn target(&self, field: &str, backend: &source::Backend) -> Result<Target, Problem> {
        self.find(field, backend, "connections are closed").map(|(target, _)| target)
    }

    /// What a backend means, or why there is none and what becomes of those who want it.
    fn find(
        &self,
        field: &str,
        backend: &source::Backend,
        unavailable: &str,
    ) -> Result<(Target, &'a ServicePort), Problem> {
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
        if service.type_ == ServiceType::ExternalName {
            let why = format!(
                "Service {service_name} is an ExternalName: a name elsewhere is not followed, as it could lead anywhere; \
                 {unavailable}"
            );
            return Err(Problem::error(Reason::Unsupported, format!("{field}.service.name"), why));
        }
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
        let Some(found) = found else {
            let ports: Vec<_> = service.tcp_ports().map(|it| format!("{} {}", it.port, it.name)).collect();
            let ports: Vec<_> = ports.iter().map(|port| port.trim_end()).collect();
            let has = if ports.is_empty() { "it has none".to_owned() } else { format!("it has {}", ports.join(", ")) };
            let why = format!("Service {service_name} has no TCP port {port} ({has}); {unavailable}");
            return Err(Problem::error(Reason::PortNotFound, field, why));
        };
        Ok((Target { service: service_name, port, keeps_clients: service.keeps_clients }, found))
    }

    /// What the Service says that its port speaks.
    /// <https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol>
    fn speaks(&mut self, field: &str, service: &Name, port: &ServicePort) -> Speaks {
        match port.app_protocol.as_deref() {
            Some("kubernetes.io/h2c" | "h2c" | "grpc") => Speaks::Http2,
            Some("kubernetes.io/ws" | "ws" | "http") => Speaks::Http1,
            Some(tls @ ("kubernetes.io/wss" | "wss" | "https")) => {
                let why = format!("Service {service} says {tls}, but backends are asked without TLS");
                self.problems.push(Problem::warning(Reason::Unsupported, field, why));
                Speaks::Unknown
            }
            _ => Speaks::Unknown,
        }
    }

    fn error(&mut self, reason: Reason, field: String, why: String) {
        self.problems.push(Problem::error(reason, field, why));
    }
}

/// Where an Ingress says this of a host. Empty when it does not.
#[must_use]
pub fn field_of(ingress: &Ingress, host: &Host, matcher: &PathMatch, defaults: &IngressDefaults) -> String {
    let regex = Options::of(ingress, defaults).0.regex;
    let says = |rule: &PathRule| parse_path(rule, regex).is_ok_and(|it| it == *matcher);
    let rules = ingress.rules.iter().enumerate();
    let mut fields = rules.filter(|(_, rule)| written_host(rule).is_ok_and(|it| it == *host)).flat_map(|(at, rule)| {
        let paths = rule.paths.iter().flatten().enumerate().filter(|(_, path)| says(path));
        paths.map(move |(path, _)| format!("spec.rules[{at}].http.paths[{path}]"))
    });
    let default = || ingress.default_backend.as_ref().map(|_| "spec.defaultBackend".to_owned());
    fields.next().or_else(default).unwrap_or_default()
}

fn written_host(rule: &source::Rule) -> Result<Host, String> {
    rule.host.as_deref().map_or(Ok(Host::Any), Host::parse)
}

/// `regex` says what `ImplementationSpecific` means.
fn parse_path(rule: &PathRule, regex: bool) -> Result<PathMatch, (&'static str, String)> {
    let written = rule.path.as_deref().filter(|path| !path.is_empty());
    if let (Some(regex), PathType::ImplementationSpecific) = (written.filter(|_| regex), &rule.path_type) {
        return Ok(PathMatch::Regex(regex.to_owned()));
    }
    // Nothing is no expression: it is every path.
    let path = written.unwrap_or("/");
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(("path", format!("{path:?} must begin with / and hold neither ? nor #; the path is ignored")));
    }
    match &rule.path_type {
        PathType::Exact => Ok(PathMatch::Exact(normalised(path))),
        PathType::Prefix | PathType::ImplementationSpecific => {
            let path = normalised(path);
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
