//! Names that are passed through: a filter chain each, told by the name that the client asks for.

use serde_json::{Value, json};

use crate::model::Host;

/// The filter chain of a name. Its last filter passes bytes on to `cluster`, or closes the connection at once when there is none.
pub(in crate::translate) fn chain(host: &Host, before: Option<Value>, cluster: Option<&str>) -> Value {
    let last = cluster.map_or_else(close, proxy);
    json!({
        "name": format!("passthrough:{}", host.pattern()),
        "filter_chain_match": { "transport_protocol": "tls", "server_names": [host.pattern()] },
        "filters": before.into_iter().chain([last]).collect::<Vec<_>>(),
    })
}

/// An endpoint that does not answer is no reason to give up while there are others.
fn proxy(cluster: &str) -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "passthrough",
            "cluster": cluster,
            "idle_timeout": "3600s",
            "max_connect_attempts": 3,
        },
    })
}

fn close() -> Value {
    json!({
        "name": "envoy.filters.network.direct_response",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
        },
    })
}
