//! The bootstrap of a node's Envoy: no listener, no cluster but its xDS server, which is the node-loader's Unix socket.

use std::path::Path;

use serde_json::{Value, json};

/// What differs from node to node in Envoy's bootstrap.
#[derive(Debug, Clone)]
pub struct Bootstrap<'a> {
    /// The node's name, `node.id` of every xDS request.
    pub node: &'a str,
    /// The Unix socket that the node-loader serves xDS on.
    pub xds_socket: &'a Path,
    /// The Unix socket of Envoy's admin interface, made with mode 0600.
    pub admin_socket: &'a Path,
    /// `SO_MARK` of every connection that Envoy opens by itself, so the datapath leaves it alone.
    pub upstream_mark: u32,
    /// At 90% of this heap, in bytes, Envoy gives memory back; at 98% it answers requests with 503.
    pub max_heap_bytes: u64,
    /// More client connections than these are closed at once.
    pub max_connections: u64,
}

/// The mark of Envoy's own upstream sockets: the datapath's connect hook skips it.
pub const UPSTREAM_MARK: u32 = 0xc00;

/// The mark of upstream sockets that are bound to the client's address: the datapath looks for their replies.
pub const ORIGINAL_SOURCE_MARK: u32 = 0xb00;

impl<'a> Bootstrap<'a> {
    /// A bootstrap with the usual mark and limits: 512 MiB of heap, 50,000 client connections.
    #[must_use]
    pub fn new(node: &'a str, xds_socket: &'a Path, admin_socket: &'a Path) -> Self {
        let (max_heap_bytes, max_connections) = (512 << 20, 50_000);
        Self { node, xds_socket, admin_socket, upstream_mark: UPSTREAM_MARK, max_heap_bytes, max_connections }
    }

    /// The bootstrap as JSON, which Envoy reads from a file that ends in `.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "node": {"id": self.node, "cluster": "axoneme"},
            "admin": {"address": {"pipe": {"path": self.admin_socket.to_string_lossy(), "mode": 0o600}}},
            "dynamic_resources": dynamic_resources(),
            "static_resources": {"clusters": [xds_cluster(self.xds_socket)]},
            "cluster_manager": {"upstream_bind_config": {"socket_options": [socket_mark(self.upstream_mark)]}},
            "deferred_stat_options": {"enable_deferred_creation_stats": true},
            "stats_config": stats(),
            "layered_runtime": {"layers": [{"name": "axoneme", "static_layer": runtime()}]},
            "overload_manager": overload_manager(self.max_heap_bytes, self.max_connections),
            "bootstrap_extensions": [{
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
                },
            }],
        })
    }
}

/// A dozen of these for each route configuration and each certificate: at 10,000 hosts some 60 MB, and a core's 2% to flush.
/// What became of a resource is in the status of the object that it was made of.
fn stats() -> Value {
    json!({
        "stats_tags": [{"tag_name": "ns", "regex": r"^cluster\.(([^/.]+)/)"}],
        "stats_matcher": {"exclusion_list": {"patterns": [
            {"safe_regex": {"regex": r"http\..*\.(rds|scoped_rds)\..*"}},
            {"prefix": "sds."},
            {"contains": ".ssl.certificate."},
        ]}},
    })
}

/// Who sends a thousand requests at once on one connection (CVE-2023-44487) is served in turn with others. That a connection which
/// takes most of its requests back is closed, and how many frames may pass without a request, are Envoy's own defaults.
fn runtime() -> Value {
    json!({"http.max_requests_per_io_cycle": 16})
}

fn dynamic_resources() -> Value {
    // The server answers every wildcard request, even with nothing, so there is no need to stop waiting for it.
    let source = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    // The node-loader may restart: come back at once, not after Envoy's default of up to 30 s.
    let retry = json!({"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}});
    json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": retry}}],
        },
        "lds_config": source,
        "cds_config": source,
    })
}

fn xds_cluster(socket: &Path) -> Value {
    let protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": "xds",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            protocol: {
                "@type": format!("type.googleapis.com/{protocol}"),
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}},
                },
            },
        },
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket.to_string_lossy()}}}}]}],
        },
    })
}

/// `SO_MARK` (36) of `SOL_SOCKET` (1), set before bind or connect.
fn socket_mark(mark: u32) -> Value {
    json!({"description": "axoneme", "level": 1, "name": 36, "int_value": mark, "state": "STATE_PREBIND"})
}

fn overload_manager(max_heap_bytes: u64, max_connections: u64) -> Value {
    let monitors = "type.googleapis.com/envoy.extensions.resource_monitors";
    let heap = "envoy.resource_monitors.fixed_heap";
    let trigger = |threshold: f64| json!([{"name": heap, "threshold": {"value": threshold}}]);
    json!({
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": format!("{monitors}.fixed_heap.v3.FixedHeapConfig"),
                    "max_heap_size_bytes": max_heap_bytes,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": format!("{monitors}.downstream_connections.v3.DownstreamConnectionsConfig"),
                    "max_active_downstream_connections": max_connections,
                },
            },
        ],
        "actions": [
            {"name": "envoy.overload_actions.shrink_heap", "triggers": trigger(0.9)},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": trigger(0.98)},
        ],
    })
}
