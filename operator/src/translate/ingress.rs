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
use crate::intents::Intent;
use crate::model::{HttpModel, IngressDefaults, Speaks, ingest, named_secrets};
use crate::problem::Problem;
use crate::source::{Ingress, Kind, Name, ObjectKey};
use routes::Side;

mod cluster;
mod listener;

/// Ports of the Ingress's Service that the listener serves: it tells TLS from plain HTTP by itself.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

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

/// Translates an Ingress that is ours. `last` is what the last translation of it rendered.
#[must_use]
pub fn translate(
    ingress: &Ingress,
    index: &Index,
    defaults: &IngressDefaults,
    last: Option<Rendered>,
) -> (Output, Rendered) {
    let (model, problems) = ingest(ingress, index, defaults);
    let origin = Origin(names::ingress_origin(&ingress.meta.name.namespace, &ingress.meta.name.name));
    let rendered = match last {
        Some(last) if last.model == model => last,
        _ => render(&origin, model),
    };
    let mut output = rendered.output();
    output.problems.extend(problems);
    output.secrets = named_secrets(ingress, defaults);
    for name in rendered.model.secrets() {
        secrets::put_in_force(&origin.secret(name), name, index, &mut output);
    }

    let own = Name::new(&ingress.meta.name.namespace, &names::ingress_service(&ingress.meta.name.name));
    let owner = ObjectKey { kind: Kind::Ingress, name: ingress.meta.name.clone() };
    let ports = [Some(HTTP_PORT), (!ingress.tls.is_empty()).then_some(HTTPS_PORT)];
    if let Some(service) = index.service(&own) {
        for port in ports.into_iter().flatten().filter_map(|port| service.port(port)) {
            let intent = redirects::redirect(service, port, &origin.listener(), &owner);
            intent.into_iter().for_each(|intent| output.put_intent(intent));
        }
    }
    (output, rendered)
}

/// The name under which an Ingress's resources stand, and theirs.
struct Origin(String);

impl Origin {
    fn listener(&self) -> String {
        format!("{}/listener", self.0)
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
    for backend in model.backends() {
        let endpoints: Arc<str> =
            format!("{}/{}:{}", backend.service.namespace, backend.service.name, backend.port).into();
        let versions: &[bool] = match backend.speaks {
            Speaks::Unknown => &[false, true],
            Speaks::Http1 => &[false],
            Speaks::Http2 => &[true],
        };
        for http2 in versions {
            let cluster = cluster::json(&origin.cluster(backend, *http2), &endpoints, *http2);
            put(&mut output, &cluster, Some(endpoints.clone()));
        }
        output.endpoints.insert(EndpointsName { service: backend.service.clone(), name: endpoints });
    }
    let mut sides = BTreeMap::from([(Side::Plain, origin.routes(Side::Plain))]);
    if !model.certificates.is_empty() {
        sides.insert(Side::Secure, origin.routes(Side::Secure));
    }
    for (side, name) in &sides {
        let table = routes::route_configuration(name, &model, *side, |backend, http2| origin.cluster(backend, http2));
        put(&mut output, &table, None);
    }
    let listener = listener::json(&origin.listener(), &model, |side| origin.routes(side), |name| origin.secret(name));
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
fn ads() -> Value {
    serde_json::json!({ "ads": {}, "resource_api_version": "V3" })
}
