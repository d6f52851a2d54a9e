//! How Envoy is told of listeners that are not as others: at a port of the nodes, behind a load balancer that speaks the PROXY
//! protocol, or with a name that is passed through. What is shown is the listener alone, and of its chains which they are.

use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_operator::model::{HostNetwork, IngressDefaults};
use serde_json::Value;

use crate::completed::Completed;

fn compare(name: &str, file: &str, flags: IngressDefaults) {
    let world = Completed::read(file, flags);
    let listener = ResourceKind::Listener;
    let view = world.engine.intents().view("node");
    let mut listeners = view.iter().filter(|resource| *resource.type_url == *listener.type_url());
    let resource = listeners.next().unwrap();
    let mut json = EnvoyResource::from_bytes(listener, &resource.body).unwrap().to_json().unwrap();
    for filter in
        json["filter_chains"].as_array_mut().into_iter().flatten().flat_map(|it| it["filters"].as_array_mut()).flatten()
    {
        if filter["name"] == "envoy.filters.network.http_connection_manager" {
            filter["typed_config"] = Value::from("...");
        }
    }
    let text = format!("{}{}\n", world.problems(), serde_json::to_string_pretty(&json).unwrap());
    let folder = "translation";
    insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn conformance_host_network() {
    let host_network = Some(HostNetwork { nodes: None, proxy_ports: 10_000..=20_000, shared_port: 8080 });
    let flags = IngressDefaults { host_network, ..IngressDefaults::default() };
    compare("conformance_host_network", "translation/conformance_host_network.yaml", flags);
}

#[test]
fn conformance_proxy_protocol() {
    let flags = IngressDefaults { proxy_protocol: true, ..IngressDefaults::default() };
    compare("conformance_proxy_protocol", "translation/conformance_host_rules.yaml", flags);
}

#[test]
fn ssl_passthrough() {
    compare("ssl_passthrough", "ingestion/ssl_passthrough.yaml", IngressDefaults::default());
}
