//! An Ingress with an address of its own (dedicated mode) as Envoy resources.
//!
//! The listener never changes: routes, hosts and backends are resources of their own, and their edits disturb nobody.

use std::sync::Arc;

use axoneme_api::names;
use axoneme_envoy::ResourceKind;
use serde_json::{Value, json};

use super::{EndpointsName, Output, problem, redirects, routes};
use crate::index::Index;
use crate::intents::Intent;
use crate::model::{Backend, HttpModel, ingest};
use crate::problem::Problem;
use crate::source::{Ingress, Kind, Name, ObjectKey};

/// Ports of the Ingress's Service that the listener serves.
const HTTP_PORT: u16 = 80;

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
        }
    }
}

/// Translates an Ingress that is ours. `last` is what the last translation of it rendered.
#[must_use]
pub fn translate(ingress: &Ingress, index: &Index, last: Option<Rendered>) -> (Output, Rendered) {
    let (model, problems) = ingest(ingress, index);
    let origin = names::ingress_origin(&ingress.meta.name.namespace, &ingress.meta.name.name);
    let rendered = match last {
        Some(last) if last.model == model => last,
        _ => render(&origin, model),
    };
    let mut output = rendered.output();
    output.problems.extend(problems);

    let own = Name::new(&ingress.meta.name.namespace, &names::ingress_service(&ingress.meta.name.name));
    let owner = ObjectKey { kind: Kind::Ingress, name: ingress.meta.name.clone() };
    if let Some(service) = index.service(&own)
        && let Some(port) = service.port(HTTP_PORT)
    {
        let intent = redirects::redirect(service, port, &listener_name(&origin), &owner);
        intent.into_iter().for_each(|intent| output.put_intent(intent));
    }
    (output, rendered)
}

fn listener_name(origin: &str) -> String {
    format!("{origin}/listener")
}

fn render(origin: &str, model: HttpModel) -> Rendered {
    let mut output = Output::default();
    let routes = format!("{origin}/listener-insecure");
    let cluster =
        |backend: &Backend| format!("{origin}/{}:{}:{}", backend.service.namespace, backend.service.name, backend.port);
    for backend in model.backends() {
        let endpoints: Arc<str> =
            format!("{}/{}:{}", backend.service.namespace, backend.service.name, backend.port).into();
        put(&mut output, &cluster_json(&cluster(backend), &endpoints), Some(endpoints.clone()));
        output.endpoints.insert(EndpointsName { service: backend.service.clone(), name: endpoints });
    }
    put(&mut output, &routes::route_configuration(&routes, &model, cluster), None);
    put(&mut output, &listener_json(&listener_name(origin), &routes), None);
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

fn cluster_json(name: &str, endpoints: &str) -> Value {
    json!({
        "@type": ResourceKind::Cluster.type_url(),
        "name": name,
        "type": "EDS",
        "eds_cluster_config": { "service_name": endpoints, "eds_config": ads() },
        "connect_timeout": "5s",
        "lb_policy": "ROUND_ROBIN",
        "outlier_detection": { "split_external_local_origin_errors": true },
        "circuit_breakers": {
            "thresholds": [{ "max_retries": 128, "max_connections": 1024, "max_requests": 1024 }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": { "idle_timeout": "60s" },
                // gRPC goes on as HTTP/2, everything else as it came.
                "use_downstream_protocol_config": { "http2_protocol_options": {} },
            },
        },
    })
}

fn listener_json(name: &str, routes: &str) -> Value {
    let filter = |name: &str, type_: &str| json!({ "name": name, "typed_config": { "@type": type_ } });
    json!({
        "@type": ResourceKind::Listener.type_url(),
        "name": name,
        "socket_options": keepalive(),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
                          HttpConnectionManager",
                "stat_prefix": "listener-insecure",
                "rds": { "route_config_name": routes, "config_source": ads() },
                // The peer's address is the client's own: it is what `x-forwarded-for` must say.
                "use_remote_address": true,
                "skip_xff_append": false,
                "normalize_path": true,
                "upgrade_configs": [{ "upgrade_type": "websocket" }],
                "http_filters": [
                    filter("envoy.filters.http.grpc_web",
                           "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"),
                    filter("envoy.filters.http.router",
                           "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"),
                ],
            },
        }] }],
    })
}

fn ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3" })
}

/// Idle connections of clients that vanished are noticed after a minute: probes after 10 s, every 5 s, 10 of them.
/// Levels and names are Linux's: SOL_SOCKET SO_KEEPALIVE, then IPPROTO_TCP TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT.
fn keepalive() -> Value {
    let option = |(level, name, value): (i64, i64, i64)| json!({ "level": level, "name": name, "int_value": value, "state": "STATE_PREBIND" });
    Value::Array([(1, 9, 1), (6, 4, 10), (6, 5, 5), (6, 6, 10)].into_iter().map(option).collect())
}
