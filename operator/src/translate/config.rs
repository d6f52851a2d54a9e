//! CiliumEnvoyConfig and CiliumClusterwideEnvoyConfig as what nodes are told.
//!
//! Two steps: [`parse`] looks at the object alone and is done once per version of it; [`translate`] looks at the Services
//! that it names, and is cheap. An object that does not parse is refused whole: nothing is ever half-applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_envoy::{self as envoy, EnvoyResource, Policy, Refs, ResourceKind};

use super::{EndpointsName, Output, affinity, problem, redirects, secrets};
use crate::index::Index;
use crate::problem::{Problem, Reason, Severity};
use crate::source::{EnvoyConfig, Name, Selector, ServiceRef, ServiceType};

mod annotations;
mod foreign;
mod source;

pub use annotations::Options;

/// A version of an object that was found valid, with everything encoded.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The object.
    pub config: EnvoyConfig,
    /// What its annotations ask for.
    pub options: Options,
    resources: Output,
    /// Secrets of Kubernetes by the name that the object's SDS references give them, with the field that does.
    secrets: BTreeMap<String, (Name, String)>,
    /// Full names in the order of the document, and whether the listener has an address of its own.
    listeners: Vec<(String, bool)>,
    /// Full names of the clusters that do not say how an endpoint is chosen.
    open_clusters: Vec<Arc<str>>,
}

/// Decodes, checks and qualifies an object, and denies what `policy` does not allow. Costs reflection over all its resources.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn parse(config: &EnvoyConfig, policy: &Policy) -> Result<Parsed, Vec<Problem>> {
    let mut problems = own_problems(config);
    let (options, ignored) = Options::of(config, policy);
    let owner = envoy::Owner { namespace: &config.meta.name.namespace, name: &config.meta.name.name };
    let mut resources = Vec::new();
    let (mut listeners, mut open_clusters) = (Vec::new(), Vec::new());
    for (at, mut json) in config.resources().into_iter().enumerate() {
        if options.keeps_client_address {
            source::keep(&mut json);
        }
        let json = &json;
        let decoded = envoy::decode_under(json, &format!("spec.resources[{at}]"), policy).and_then(|mut resource| {
            envoy::qualify(&mut resource, &owner).map_err(|problem| vec![problem])?;
            Ok(resource)
        });
        match decoded {
            Ok(resource) => {
                if resource.kind() == ResourceKind::Listener && !resource.is_internal_listener() {
                    listeners.push((resource.name().to_owned(), resource.has_address()));
                }
                if resource.kind() == ResourceKind::Cluster && affinity::is_open(json) {
                    open_clusters.push(resource.name().into());
                }
                problems.extend(resource.warnings().iter().map(problem));
                resources.push(resource);
            }
            Err(wrong) => problems.extend(wrong.iter().map(problem)),
        }
    }
    problems.extend(envoy::duplicates(&resources).iter().map(problem));
    let refs: Vec<Refs> = resources.iter().map(envoy::refs).collect();
    let (secrets, foreign) = secrets::named(config, &resources, &refs);
    problems.extend(foreign);
    problems.extend(foreign::backends(config, &refs, policy));
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(problems);
    }
    let mut output = encode(config, &resources, &refs);
    output.problems.extend(problems);
    output.problems.extend(ignored);
    Ok(Parsed { config: config.clone(), options, resources: output, secrets, listeners, open_clusters })
}

impl Parsed {
    /// What is to be said of the object though it is valid, without looking at any other.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.resources.problems
    }

    /// The Secrets that the object names.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<Name> {
        self.secrets.values().map(|(secret, _)| secret.clone()).collect()
    }
}

/// What can be said without decoding anything.
fn own_problems(config: &EnvoyConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let own = &*config.meta.name.namespace;
    for (at, service) in config.services.iter().enumerate() {
        if let Some(other) = service.namespace.as_deref().filter(|other| !own.is_empty() && *other != own) {
            let why = format!(
                "is {other:?}, but an object of namespace {own:?} can only take the traffic of its own Services; \
                 leave it out, or use a CiliumClusterwideEnvoyConfig"
            );
            problems.push(Problem::error(Reason::NotPermitted, format!("spec.services[{at}].namespace"), why));
        }
    }
    for (field, why) in config.node_selector.iter().flat_map(Selector::mistakes) {
        problems.push(Problem::error(Reason::Invalid, format!("spec.nodeSelector.{field}"), why));
    }
    problems
}

fn encode(config: &EnvoyConfig, resources: &[EnvoyResource], refs: &[Refs]) -> Output {
    let mut output = Output::default();
    let names = |kind| -> BTreeSet<&str> {
        resources.iter().filter(|resource| resource.kind() == kind).map(EnvoyResource::name).collect()
    };
    let (routes, assignments) = (names(ResourceKind::Route), names(ResourceKind::Endpoints));
    let (secrets, clusters) = (names(ResourceKind::Secret), names(ResourceKind::Cluster));
    let internal =
        resources.iter().filter(|resource| resource.is_internal_listener()).map(EnvoyResource::name).collect();
    // Envoy asks for a route configuration only if a listener wants it, so only then can a node say that it runs.
    let used: BTreeSet<&str> = refs.iter().flat_map(|refs| refs.routes.keys()).map(String::as_str).collect();

    for (resource, refs) in resources.iter().zip(refs) {
        let endpoints = refs.endpoints.keys().next().map(|name| Arc::<str>::from(name.as_str()));
        let awaited = match resource.kind() {
            ResourceKind::Listener | ResourceKind::Cluster => true,
            ResourceKind::Route => used.contains(resource.name()),
            ResourceKind::Secret | ResourceKind::Endpoints => false,
        };
        output.put(resource.kind(), resource, awaited, endpoints);
        let synced = refs.endpoints.keys().filter(|name| !assignments.contains(name.as_str()));
        output.endpoints.extend(synced.filter_map(|name| EndpointsName::parse(name)));
        let missing = [
            ("RouteConfiguration", "what needs it waits for it", &refs.routes, &routes),
            ("Secret", "what needs it waits for it", &refs.secrets, &secrets),
            ("Cluster", "requests for it are answered with 503", &refs.clusters, &clusters),
            ("internal Listener", "connections to it fail", &refs.listeners, &internal),
        ];
        for (kind, so, refs, there) in missing {
            for (name, field) in dangling(config, refs, there) {
                let why = format!("no {kind} {name} is in this object; {so}");
                output.problems.push(Problem::error(Reason::ResourceNotFound, field, why));
            }
        }
        for (name, field) in elsewhere(config, &refs.clusters, &clusters) {
            let why = format!("no Cluster {name} is in this object; unless another one defines it, it leads nowhere");
            output.problems.push(Problem::warning(Reason::ResourceNotFound, field, why));
        }
    }
    output
}

/// References to the object's own resources that are not there.
fn dangling<'a>(
    config: &EnvoyConfig,
    refs: &'a BTreeMap<String, String>,
    there: &'a BTreeSet<&str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = own(config);
    absent(refs, there).filter(move |(name, _)| name.starts_with(&own))
}

/// References to what is not in the object but can be in another: `namespace/service` without a Cluster of that name, say, or
/// the `/envoy-admin` of Cilium's own Envoy.
fn elsewhere<'a>(
    config: &EnvoyConfig,
    refs: &'a BTreeMap<String, String>,
    there: &'a BTreeSet<&str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = own(config);
    absent(refs, there).filter(move |(name, _)| !name.starts_with(&own))
}

/// How the full names of an object's own resources begin.
fn own(config: &EnvoyConfig) -> String {
    format!("{}/{}/", config.meta.name.namespace, config.meta.name.name)
}

fn absent<'a>(
    refs: &'a BTreeMap<String, String>,
    there: &'a BTreeSet<&str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let named = refs.iter().map(|(name, field)| (name.as_str(), field.as_str()));
    named.filter(|(name, _)| !there.contains(name))
}

/// Ties a valid object to the Services of the moment. Costs the size of its resource list, and no encoding but that of
/// its redirects.
#[must_use]
pub fn translate(parsed: &Parsed, index: &Index) -> Output {
    let mut output = parsed.resources.clone();
    output.secrets = parsed.secrets();
    secrets::put(&parsed.secrets, index, &mut output);
    keep_clients(parsed, index, &mut output);
    for (at, service) in parsed.config.services.iter().enumerate() {
        redirect_service(parsed, &format!("spec.services[{at}]"), service, index, &mut output);
    }
    for (at, backend) in parsed.config.backend_services.iter().enumerate() {
        let field = format!("spec.backendServices[{at}]");
        let Some(service) = index.service(&backend.service) else {
            output.problems.push(no_service(&field, &backend.service));
            continue;
        };
        for (at, port) in backend.ports.iter().enumerate() {
            let number = port.parse().ok().and_then(|number| service.port(number));
            if number.or_else(|| service.port_named(port)).is_none() {
                let why = format!("Service {} has no TCP port {port:?}", backend.service);
                output.problems.push(Problem::error(Reason::PortNotFound, format!("{field}.number[{at}]"), why));
            }
        }
    }
    output
}

/// `sessionAffinity` of the Services that the object lists. What a cluster says itself stays.
fn keep_clients(parsed: &Parsed, index: &Index, output: &mut Output) {
    let config = &parsed.config;
    let redirected = config.services.iter().map(|service| service.full_name(config.default_namespace()));
    let listed = redirected.chain(config.backend_services.iter().map(|backend| backend.service.clone()));
    let keeping: BTreeSet<Name> =
        listed.filter(|name| index.service(name).is_some_and(|service| service.keeps_clients)).collect();
    if keeping.is_empty() {
        return;
    }
    for name in &parsed.open_clusters {
        let key = (ResourceKind::Cluster.type_url().into(), name.clone());
        let Some(intent) = output.resources.get_mut(&key) else { continue };
        let endpoints = intent.endpoints.as_deref().and_then(EndpointsName::parse);
        if endpoints.is_some_and(|endpoints| keeping.contains(&endpoints.service)) {
            intent.resource = affinity::with_policy(&intent.resource);
        }
    }
}

fn redirect_service(parsed: &Parsed, field: &str, wanted: &ServiceRef, index: &Index, output: &mut Output) {
    let config = &parsed.config;
    let listener = match pick_listener(parsed, field, wanted) {
        Ok(listener) => listener,
        Err(problem) => return output.problems.push(problem),
    };
    let name = wanted.full_name(config.default_namespace());
    let Some(service) = index.service(&name) else {
        return output.problems.push(no_service(field, &name));
    };
    if service.type_ == ServiceType::ExternalName || service.headless {
        let why = format!("Service {name} has no address of its own, so there is no traffic to redirect");
        return output.problems.push(Problem::error(Reason::Unsupported, format!("{field}.name"), why));
    }
    for (at, port) in wanted.ports.iter().enumerate() {
        if service.port(*port).is_none() {
            let why = format!("Service {name} has no TCP port {port}");
            output.problems.push(Problem::error(Reason::PortNotFound, format!("{field}.ports[{at}]"), why));
        }
    }
    let all = wanted.ports.is_empty();
    if all && service.tcp_ports().next().is_none() {
        let why = format!("Service {name} has no TCP port, and nothing else is redirected");
        output.problems.push(Problem::error(Reason::PortNotFound, format!("{field}.name"), why));
    }
    for port in service.tcp_ports().filter(|port| all || wanted.ports.contains(&port.port)) {
        let intent = redirects::redirect(service, port, listener, &config.key(), false);
        intent.into_iter().for_each(|intent| output.put_intent(intent));
    }
}

/// The listener that is named, or the first one in the order of the document.
fn pick_listener<'a>(parsed: &'a Parsed, field: &str, wanted: &ServiceRef) -> Result<&'a str, Problem> {
    let name = &parsed.config.meta.name;
    let found = match &wanted.listener {
        None => parsed.listeners.first(),
        Some(listener) => {
            let full = format!("{}/{}/{listener}", name.namespace, name.name);
            parsed.listeners.iter().find(|(it, _)| it == listener || *it == full)
        }
    };
    match (found, &wanted.listener) {
        (Some((listener, false)), _) => Ok(listener),
        (Some((listener, true)), _) => {
            let why =
                format!("listener {listener} has an address of its own; without `address` it can take the traffic");
            Err(Problem::error(Reason::Unsupported, field, why))
        }
        (None, Some(listener)) => {
            let why = format!("no Listener {listener:?} is in spec.resources; the Service stays as it is");
            Err(Problem::error(Reason::ResourceNotFound, format!("{field}.listener"), why))
        }
        (None, None) => {
            let why = "spec.resources holds no Listener that could take the traffic; the Service stays as it is";
            Err(Problem::error(Reason::ResourceNotFound, field, why))
        }
    }
}

fn no_service(field: &str, name: &Name) -> Problem {
    let why = format!("Service {name} does not exist; this takes effect when it does");
    Problem::error(Reason::ServiceNotFound, format!("{field}.name"), why)
}
