//! A bootstrap that holds resources by itself, so that Envoy looks at them without a server.

use std::path::Path;

use axoneme_envoy::{EnvoyResource, ResourceKind, bootstrap::Bootstrap};
use axoneme_xds::Resource;
use serde_json::{Value, json};

/// The first of the ports that listeners without an address get. Nothing is bound.
const FIRST_PORT: usize = 10_000;

/// All of them as static resources. What cannot be static stands in something that can.
pub(super) fn bootstrap(resources: &[Resource]) -> Value {
    let nowhere = Path::new("/nonexistent");
    let mut bootstrap = Bootstrap::new("validate", nowhere, nowhere).to_json();
    let (mut listeners, mut clusters, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    for resource in resources {
        let Some((kind, json)) = read(resource) else { continue };
        match kind {
            ResourceKind::Secret => secrets.push(json),
            ResourceKind::Cluster => clusters.push(json),
            ResourceKind::Endpoints => clusters.push(cluster_of(&json)),
            ResourceKind::Route => listeners.push(listener_of(json)),
            ResourceKind::Listener => listeners.push(json),
        }
    }
    for (at, listener) in listeners.iter_mut().enumerate() {
        if listener.get("address").is_none() && listener.get("internal_listener").is_none() {
            let port = FIRST_PORT + at % 50_000;
            listener["address"] = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        }
    }
    let fixed = &mut bootstrap["static_resources"];
    if let Some(all) = fixed["clusters"].as_array_mut() {
        all.extend(clusters);
    }
    fixed["listeners"] = listeners.into();
    fixed["secrets"] = secrets.into();
    bootstrap
}

fn read(resource: &Resource) -> Option<(ResourceKind, Value)> {
    let kind = ResourceKind::of(&resource.type_url)?;
    let mut json = EnvoyResource::from_bytes(kind, &resource.body)?.to_json().ok()?;
    json.as_object_mut()?.remove("@type");
    Some((kind, json))
}

fn cluster_of(assignment: &Value) -> Value {
    let name = format!("assignment of {}", assignment["cluster_name"].as_str().unwrap_or_default());
    json!({"name": name, "type": "STATIC", "load_assignment": assignment})
}

/// Over the wire, Envoy takes a route to a cluster that is not there.
fn listener_of(mut routes: Value) -> Value {
    if routes.get("validate_clusters").is_none() {
        routes["validate_clusters"] = json!(false);
    }
    let types = "type.googleapis.com/envoy.extensions.filters";
    json!({
        "name": format!("routes of {}", routes["name"].as_str().unwrap_or_default()),
        "filter_chains": [{"filters": [{
            "name": "hcm",
            "typed_config": {
                "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "validate",
                "route_config": routes,
                "http_filters": [{"name": "router", "typed_config": {"@type": format!("{types}.http.router.v3.Router")}}],
            },
        }]}],
    })
}
