//! An Ingress with an address of its own (dedicated mode) as Envoy resources.
//!
//! Routes, backends and certificates are resources of their own, and their edits leave the listener as it is. A name with
//! TLS is a filter chain of the listener: it comes and goes in place, and the connections of other names do not notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use axoneme_api::names;
use serde_json::Value;

use super::{EndpointsName, Output, problem, redirects, routes, secrets};
use crate::index::Index;
use crate::intents::{Audience, Intent};
use crate::model::options::Exposure;
use crate::model::{Host, HttpModel, IngressDefaults, Speaks, Target, field_of, ingest, named_secrets};
use crate::problem::{Problem, Reason};
use crate::shared::{Contribution, Place, contributions, refusals};
use crate::source::{Ingress, Kind, Name, ObjectKey};
use routes::Side;

pub(super) mod cluster;
pub(super) mod listener;
pub(super) mod passthrough;

/// Ports of the Ingress's Service that the listener serves: it tells TLS from plain HTTP by itself. Also 443 when nothing has
/// TLS: Envoy closes a connection that no chain is for, while the dummy endpoint would leave it hanging.
const PORTS: [u16; 2] = [80, 443];

/// The Envoy resources of a model. Kept between translations, so that what leaves the model as it is (the Service got its
/// address, a status changed) costs no encoding.
#[derive(Clone, Debug)]
pub struct Rendered {
    model: HttpModel,
    intents: Box<[Intent]>,
    endpoints: Box<[EndpointsName]>,
    problems: Vec<Problem>,
}

impl Rendered {
    fn output(&self) -> Output {
        Output {
            resources: self.intents.iter().map(|intent| (intent.resource.key(), intent.clone())).collect(),
            endpoints: self.endpoints.iter().cloned().collect(),
            problems: self.problems.clone(),
            ..Output::default()
        }
    }
}

/// The nodes that Ingresses are served on.
#[must_use]
pub fn audience(defaults: &IngressDefaults) -> Audience {
    Audience::of(defaults.host_network.as_ref().and_then(|network| network.nodes.as_ref()))
}

/// What an Ingress amounts to.
#[derive(Debug)]
pub struct Translated {
    /// At its own address, and what is wrong with it.
    pub output: Output,
    /// For the next translation; `None` when it has no address of its own.
    pub rendered: Option<Rendered>,
    /// At the address that it shares with others.
    pub hosts: BTreeMap<Host, Contribution>,
}

/// Translates an Ingress that is ours. `last` is what the last translation of it rendered.
#[must_use]
pub fn translate(
    ingress: &Ingress,
    index: &Index,
    defaults: &IngressDefaults,
    place: Place,
    last: Option<Rendered>,
) -> Translated {
    let (model, mut problems) = ingest(ingress, index, defaults);
    let mut hosts = BTreeMap::new();
    if place.shared {
        hosts = contributions(&model);
        problems.extend(refusals(&model).map(|(host, matcher, why)| {
            let field = format!("{}.path", field_of(ingress, host, matcher, defaults));
            Problem::error(Reason::Invalid, field, format!("{why}; the path is ignored in shared mode"))
        }));
    }
    let rendered = place.dedicated.then(|| match last {
        Some(last) if last.model == model => last,
        _ => render(&Origin::of(ingress), model),
    });
    let mut output = rendered.as_ref().map(|rendered| own(ingress, index, rendered)).unwrap_or_default();
    output.problems.extend(problems);
    output.secrets = named_secrets(ingress, defaults);
    Translated { output, rendered, hosts }
}

/// What is served at an address of its own.
fn own(ingress: &Ingress, index: &Index, rendered: &Rendered) -> Output {
    let origin = Origin::of(ingress);
    let mut output = rendered.output();
    for name in rendered.model.secrets() {
        secrets::put_in_force(&origin.secret(name), name, index, &mut output);
    }
    let own = Name::new(&ingress.meta.name.namespace, &names::ingress_service(&ingress.meta.name.name));
    let owner = ObjectKey { kind: Kind::Ingress, name: ingress.meta.name.clone() };
    if let Some(service) = index.service(&own).filter(|_| rendered.model.exposure == Exposure::Service) {
        for port in PORTS.into_iter().filter_map(|port| service.port(port)) {
            let is_proxied = rendered.model.connection.proxy_protocol;
            let intent = redirects::redirect(service, port, &origin.listener(), &owner, is_proxied);
            intent.into_iter().for_each(|intent| output.put_intent(intent));
        }
    }
    output
}

/// The name under which an Ingress's resources stand, and theirs.
struct Origin(String);

impl Origin {
    fn of(ingress: &Ingress) -> Self {
        Self(names::ingress_origin(&ingress.meta.name.namespace, &ingress.meta.name.name))
    }

    fn listener(&self) -> String {
        format!("{}/listener", self.0)
    }

    fn passthrough(&self, target: &Target) -> String {
        format!("{}/{}:{}:{}:tcp", self.0, target.service.namespace, target.service.name, target.port)
    }

    fn routes(&self, side: Side) -> String {
        format!("{}/{}", self.0, side.name())
    }

    fn secret(&self, name: &Name) -> String {
        format!("{}/{}:{}", self.0, name.namespace, name.name)
    }

    /// A backend that may be asked in two ways is two clusters.
    fn cluster(&self, backend: &crate::model::Backend, http2: bool) -> String {
        let suffix = if http2 && backend.speaks == Speaks::Unknown { ":h2" } else { "" };
        format!("{}/{}:{}:{}{suffix}", self.0, backend.service.namespace, backend.service.name, backend.port)
    }
}

fn render(origin: &Origin, model: HttpModel) -> Rendered {
    let mut output = Output::default();
    let listener = match model.exposure {
        Exposure::Service => origin.listener(),
        // Who else asks for the port asks for a listener of the same name, and the oldest has it.
        Exposure::HostPort(port) => names::host_listener(port),
        Exposure::Closed => {
            return Rendered { model, intents: Box::default(), endpoints: Box::default(), problems: Vec::new() };
        }
    };
    for backend in model.backends() {
        let endpoints: Arc<str> =
            format!("{}/{}:{}", backend.service.namespace, backend.service.name, backend.port).into();
        let versions: &[bool] = match backend.speaks {
            Speaks::Unknown => &[false, true],
            Speaks::Http1 => &[false],
            Speaks::Http2 => &[true],
        };
        for http2 in versions {
            let cluster = cluster::json(&origin.cluster(backend, *http2), &endpoints, *http2, backend.keeps_clients);
            put(&mut output, &cluster, Some(endpoints.clone()));
        }
        output.endpoints.insert(EndpointsName { service: backend.service.clone(), name: endpoints });
    }
    for target in model.targets() {
        let endpoints: Arc<str> =
            format!("{}/{}:{}", target.service.namespace, target.service.name, target.port).into();
        let cluster = cluster::tcp(&origin.passthrough(target), &endpoints, target.keeps_clients);
        put(&mut output, &cluster, Some(endpoints.clone()));
        output.endpoints.insert(EndpointsName { service: target.service.clone(), name: endpoints });
    }
    let mut sides = BTreeMap::from([(Side::Plain, origin.routes(Side::Plain))]);
    if !model.certificates.is_empty() {
        sides.insert(Side::Secure, origin.routes(Side::Secure));
    }
    for (side, name) in &sides {
        let table = routes::route_configuration(name, &model, *side, |backend, http2| origin.cluster(backend, http2));
        put(&mut output, &table, None);
    }
    let (routes, secret) = (|side| origin.routes(side), |name: &Name| origin.secret(name));
    let listener = listener::json(&listener, &model, routes, secret, |target| origin.passthrough(target));
    put(&mut output, &listener, None);
    Rendered {
        model,
        intents: output.resources.into_values().collect(),
        endpoints: output.endpoints.into_iter().collect(),
        problems: output.problems,
    }
}

/// What we write ourselves is checked like what users write: a refusal here is a problem of the Ingress, not a panic.
fn put(output: &mut Output, json: &Value, endpoints: Option<Arc<str>>) {
    match axoneme_envoy::decode(json, "") {
        Ok(resource) => output.put(resource.kind(), &resource, true, endpoints),
        Err(problems) => output.problems.extend(problems.iter().map(problem)),
    }
}

/// Where Envoy asks for what a resource names.
pub(super) fn ads() -> Value {
    serde_json::json!({ "ads": {}, "resource_api_version": "V3" })
}
