//! What Envoy is told, without what is the same for every Ingress: which chain of the listener has which names, certificate and
//! routes; each route in a line; each cluster with its assignment. What all names of an Ingress begin with is left out.

use std::fmt::Write as _;

use axoneme_api::names;
use axoneme_envoy::{EnvoyResource, ResourceKind};
use serde_json::Value;

use crate::completed::Completed;

/// The whole text.
pub(crate) fn rendered(world: &Completed) -> String {
    let mut text = world.problems();
    for resource in world.engine.intents().view("node").iter() {
        let Some(kind) = ResourceKind::of(&resource.type_url) else { continue };
        let json = EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap();
        let lines = match kind {
            ResourceKind::Listener => listener(&json),
            ResourceKind::Route => routes(&json),
            ResourceKind::Cluster => cluster(&json),
            _ => String::new(),
        };
        write!(text, "{kind:?} {}\n{lines}", resource.name).unwrap();
    }
    let ingress = &world.ingress().meta.name;
    text.replace(&format!("{}/", names::ingress_origin(&ingress.namespace, &ingress.name)), "")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn listener(json: &Value) -> String {
    let chain = |chain: &Value| {
        let manager = list(&chain["filters"]).last().map(|filter| &filter["typed_config"]).unwrap_or(&Value::Null);
        let common = &chain["transport_socket"]["typed_config"]["common_tls_context"];
        let secret = common["tls_certificate_sds_secret_configs"][0]["name"].as_str().unwrap_or("no certificate");
        let routes = manager["rds"]["route_config_name"].as_str().unwrap_or("no routes");
        format!("  {} -> {secret}, {routes}\n", chain["filter_chain_match"])
    };
    list(&json["filter_chains"]).map(chain).collect()
}

fn routes(json: &Value) -> String {
    let mut text = String::new();
    for host in list(&json["virtual_hosts"]) {
        writeln!(text, "  {}", host["domains"]).unwrap();
        for route in list(&host["routes"]) {
            let action = ["route", "redirect", "direct_response"].into_iter().find(|it| !route[*it].is_null());
            writeln!(text, "    {} -> {}", route["match"], route[action.unwrap()]).unwrap();
        }
    }
    text
}

fn cluster(json: &Value) -> String {
    let options = &json["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    format!("  {} {}\n", json["eds_cluster_config"]["service_name"], options["explicit_http_config"])
}
