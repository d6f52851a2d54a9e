//! A backend as an Envoy cluster.

use axoneme_envoy::ResourceKind;
use serde_json::{Value, json};

use super::ads;
use super::listener::BUFFER;
use crate::translate::affinity;

/// The cluster `name` whose endpoints are those of the assignment `endpoints`, spoken to in HTTP/2 or HTTP/1.1. It can keep each
/// client with one of them.
pub(in crate::translate) fn json(name: &str, endpoints: &str, http2: bool, keeps_clients: bool) -> Value {
    let protocol = if http2 { "http2_protocol_options" } else { "http_protocol_options" };
    let mut cluster = tcp(name, endpoints, keeps_clients);
    cluster["circuit_breakers"] =
        json!({ "thresholds": [{ "max_retries": 128, "max_connections": 1024, "max_requests": 1024 }] });
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": { "idle_timeout": "60s" },
            "explicit_http_config": { protocol: {} },
        },
    });
    cluster
}

/// The same for bytes that are passed on as they are.
pub(in crate::translate) fn tcp(name: &str, endpoints: &str, keeps_clients: bool) -> Value {
    let (choice, policy) =
        if keeps_clients { ("load_balancing_policy", affinity::policy()) } else { ("lb_policy", "ROUND_ROBIN".into()) };
    json!({
        "@type": ResourceKind::Cluster.type_url(),
        "name": name,
        "type": "EDS",
        "eds_cluster_config": { "service_name": endpoints, "eds_config": ads() },
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": BUFFER,
        choice: policy,
        "outlier_detection": { "split_external_local_origin_errors": true },
        // Each client has a connection of its own here: Envoy's 1,024 would be a limit of clients.
        "circuit_breakers": { "thresholds": [{ "max_connections": 65_536 }] },
    })
}
