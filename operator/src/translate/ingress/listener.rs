//! The listener of an Ingress: a filter chain for plain HTTP, and one for each name with a certificate or passed through.
//!
//! Envoy updates a listener in place when nothing but its chains differs, and then touches the connections of changed
//! chains only. So all else is the same for every Ingress, with TLS or without.

use axoneme_envoy::ResourceKind;
use serde_json::{Value, json};

use super::routes::{Side, duration};
use super::{ads, passthrough};
use crate::model::options::{EscapedSlashes, Exposure, Underscores};
use crate::model::{Connection, Host, HttpModel, Target};
use crate::source::Name;
use crate::translate::gate;

/// Bytes: Envoy's advice for the edge, where its own default of 1 MiB lets a few thousand slow clients fill the heap.
pub(super) const BUFFER: u32 = 32 << 10;

/// The listener `name`. `routes` names the route configurations, `secret` the secrets, `cluster` those of passthrough.
pub(in crate::translate) fn json(
    name: &str,
    model: &HttpModel,
    routes: impl Fn(Side) -> String,
    secret: impl Fn(&Name) -> String,
    cluster: impl Fn(&Target) -> String,
) -> Value {
    let plain = json!({
        "name": "plain",
        "filter_chain_match": { "transport_protocol": "raw_buffer" },
        "filters": filters(model, Side::Plain, &routes(Side::Plain)),
    });
    let with_tls = |(host, name): (&Host, &Name)| {
        let mut matches = json!({ "transport_protocol": "tls" });
        if *host != Host::Any {
            matches["server_names"] = json!([host.pattern()]);
        }
        json!({
            "name": format!("tls:{}", host.pattern()),
            "filter_chain_match": matches,
            "transport_socket": transport_socket(&secret(name)),
            "transport_socket_connect_timeout": "10s",
            "filters": filters(model, Side::Secure, &routes(Side::Secure)),
        })
    };
    let passed = |(host, target): (&Host, &Option<Target>)| {
        passthrough::chain(
            host,
            model.sources.as_ref().map(gate::connections),
            target.as_ref().map(&cluster).as_deref(),
        )
    };
    let chains = std::iter::once(plain).chain(model.certificates.iter().map(with_tls));
    let mut listener = json!({
        "@type": ResourceKind::Listener.type_url(),
        "name": name,
        "socket_options": keepalive(),
        // What a connection may hold in memory, either way: who reads slowly is waited for.
        "per_connection_buffer_limit_bytes": BUFFER,
        "listener_filters": listener_filters(model.connection.proxy_protocol),
        "filter_chains": chains.chain(model.passthrough.iter().map(passed)).collect::<Vec<_>>(),
    });
    if let Exposure::HostPort(port) = model.exposure {
        let address = |ip: &str| json!({ "socket_address": { "address": ip, "port_value": port } });
        listener["address"] = address("0.0.0.0");
        listener["additional_addresses"] = json!([{ "address": address("::") }]);
    }
    listener
}

/// A PROXY header comes before anything else. With the filter in place, who sends none is closed.
fn listener_filters(proxy_protocol: bool) -> Value {
    let filter = |name: &str, type_: &str| {
        let type_url = format!("type.googleapis.com/envoy.extensions.filters.listener.{type_}");
        json!({ "name": format!("envoy.filters.listener.{name}"), "typed_config": { "@type": type_url } })
    };
    let proxy_protocol = proxy_protocol.then(|| filter("proxy_protocol", "proxy_protocol.v3.ProxyProtocol"));
    proxy_protocol.into_iter().chain([filter("tls_inspector", "tls_inspector.v3.TlsInspector")]).collect()
}

fn filters(model: &HttpModel, side: Side, routes: &str) -> Value {
    let gate = model.sources.as_ref().map(gate::connections);
    gate.into_iter().chain([connection_manager(model, side, routes)]).collect()
}

/// What Envoys tell each other and Envoy itself does not take away from a client's request.
const SAID_BY_ENVOYS: [&str; 3] = ["x-envoy-attempt-count", "x-envoy-original-dst-host", "x-envoy-original-host"];

/// Takes headers away before anything looks at them.
fn forget(headers: &[&str]) -> Value {
    let remove = |name: &&str| json!({ "remove": name });
    json!({
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": headers.iter().map(remove).collect::<Vec<_>>(),
        },
    })
}

fn transport_socket(secret: &str) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3" },
                "tls_certificate_sds_secret_configs": [{ "name": secret, "sds_config": ads() }],
            },
        },
    })
}

/// After Envoy's advice for proxies at the edge:
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge>.
fn connection_manager(model: &HttpModel, side: Side, routes: &str) -> Value {
    let filter = |name: &str, type_: &str| json!({ "name": name, "typed_config": { "@type": type_ } });
    let Connection { idle, forwarded_as_is, trusted_hops, escaped_slashes, underscores, .. } = model.connection;
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
                      HttpConnectionManager",
            "stat_prefix": side.name(),
            "rds": { "route_config_name": routes, "config_source": ads() },
            // The connection's address is the client's own: it is what `x-forwarded-for` must say, unless told otherwise.
            "use_remote_address": !forwarded_as_is,
            "skip_xff_append": false,
            "xff_num_trusted_hops": trusted_hops,
            // Nobody is internal: a client in the cluster may not set timeouts and retries by `x-envoy-` headers either.
            "internal_address_config": {},
            "early_header_mutation_extensions": [forget(&SAID_BY_ENVOYS)],
            // What the routes compare is what the backend gets.
            "normalize_path": true,
            "merge_slashes": true,
            // `example.org.` is `example.org`, for routes and backends.
            "strip_trailing_host_dot": true,
            "path_with_escaped_slashes_action": match escaped_slashes {
                EscapedSlashes::Redirect => "UNESCAPE_AND_REDIRECT",
                EscapedSlashes::Reject => "REJECT_REQUEST",
                EscapedSlashes::Keep => "KEEP_UNCHANGED",
            },
            "common_http_protocol_options": {
                "idle_timeout": "3600s",
                "max_headers_count": 100,
                "headers_with_underscores_action": match underscores {
                    Underscores::Drop => "DROP_HEADER",
                    Underscores::Reject => "REJECT_REQUEST",
                    Underscores::Allow => "ALLOW",
                },
            },
            "http2_protocol_options": {
                "max_concurrent_streams": 100,
                "initial_stream_window_size": 65_536,
                "initial_connection_window_size": 1_048_576,
            },
            "max_request_headers_kb": 60,
            "request_headers_timeout": "30s",
            // Until a request matches a route, which has its own.
            "stream_idle_timeout": duration(idle),
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "http_filters": [
                filter("envoy.filters.http.grpc_web",
                       "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"),
                filter("envoy.filters.http.router",
                       "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"),
            ],
        },
    })
}

/// Idle connections of clients that vanished are noticed after a minute: probes after 10 s, every 5 s, 10 of them.
/// Levels and names are Linux's: SOL_SOCKET SO_KEEPALIVE, then IPPROTO_TCP TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT.
fn keepalive() -> Value {
    let option = |(level, name, value): (i64, i64, i64)| json!({ "level": level, "name": name, "int_value": value, "state": "STATE_PREBIND" });
    Value::Array([(1, 9, 1), (6, 4, 10), (6, 5, 5), (6, 6, 10)].into_iter().map(option).collect())
}
