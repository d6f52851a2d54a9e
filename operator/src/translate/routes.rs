//! Routes of an HTTP model as an Envoy RouteConfiguration.

use serde_json::{Value, json};

use crate::model::{Action, Backend, Host, HttpModel, PathMatch, Route};

/// The RouteConfiguration `name`. `cluster` names the cluster of a backend.
pub(super) fn route_configuration(name: &str, model: &HttpModel, cluster: impl Fn(&Backend) -> String) -> Value {
    let anywhere = model.hosts.get(&Host::Any).map_or(&[][..], Vec::as_slice);
    let virtual_host = |(host, routes): (&Host, &Vec<Route>)| {
        let mut all: Vec<_> = routes.iter().map(|it| route(it, one_label(host, false), &cluster)).collect();
        if matches!(host, Host::Wildcard(_)) {
            // Envoy's `*.` stands for any number of labels, that of an Ingress for one. The others are nobody's in
            // particular.
            all.extend(anywhere.iter().map(|it| route(it, one_label(host, true), &cluster)));
        }
        json!({ "name": domain(host), "domains": [domain(host)], "routes": all })
    };
    json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        // Hosts are compared without their port, so that `example.org:8080` needs no domain of its own.
        "ignore_port_in_host_matching": true,
        "virtual_hosts": model.hosts.iter().map(virtual_host).collect::<Vec<_>>(),
    })
}

fn domain(host: &Host) -> String {
    match host {
        Host::Any => "*".to_owned(),
        Host::Exact(host) => host.clone(),
        Host::Wildcard(rest) => format!("*.{rest}"),
    }
}

/// For a wildcard, the condition that the host has exactly one label more, or that it has not.
fn one_label(host: &Host, invert: bool) -> Option<Value> {
    let Host::Wildcard(rest) = host else { return None };
    let regex = format!(r"(?i)[^.]+\.{}(:\d+)?", rest.replace('.', r"\."));
    let mut matcher = json!({ "name": ":authority", "string_match": { "safe_regex": { "regex": regex } } });
    if invert {
        matcher["invert_match"] = json!(true);
    }
    Some(matcher)
}

fn route(route: &Route, header: Option<Value>, cluster: impl Fn(&Backend) -> String) -> Value {
    let mut matcher = match &route.matcher {
        PathMatch::Exact(path) => json!({ "path": path }),
        PathMatch::Prefix(path) if path == "/" => json!({ "prefix": "/" }),
        PathMatch::Prefix(path) => json!({ "path_separated_prefix": path }),
    };
    if let Some(header) = header {
        matcher["headers"] = json!([header]);
    }
    match &route.action {
        Action::Forward(backend) => json!({
            "match": matcher,
            // Written out, because without it Envoy cuts every request after 15 s: uploads, SSE, gRPC streams.
            "route": { "cluster": cluster(backend), "timeout": "0s" },
        }),
        Action::Unavailable => json!({ "match": matcher, "direct_response": { "status": 503 } }),
    }
}
