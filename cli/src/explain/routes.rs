//! From a listener to endpoints: the routes that Envoy would take, in its own order of preference.

use axoneme_envoy::ResourceKind;
use axoneme_xds::View;
use serde_json::Value;

use super::{Target, under};
use crate::input;

/// A line for each route, cluster and assignment. Of a URL, only the route that Envoy takes.
pub(super) fn of_listener(view: &dyn View, listener: &Value, target: &Target) -> Vec<String> {
    let get = |kind: ResourceKind, name: &str| view.get(kind.type_url(), name).map(|it| input::show(&it));
    let (mut lines, mut inline, mut named) = (Vec::new(), Vec::new(), Vec::new());
    under(listener, "route_config", &mut inline);
    under(listener, "route_config_name", &mut named);
    let mut configurations: Vec<Value> = inline.into_iter().cloned().collect();
    for name in named.iter().filter_map(|name| name.as_str()) {
        match get(ResourceKind::Route, name) {
            Some(found) => configurations.push(found),
            None => lines.push(format!("  routes    {name} is missing: the listener waits for it")),
        }
    }
    let mut clusters = Vec::new();
    for configuration in &configurations {
        for (host, route) in chosen(configuration, target) {
            let name = configuration["name"].as_str().unwrap_or_default();
            lines.push(format!("  route     {name}: host {host}, {}", described(&route["match"])));
            let action = ["route", "redirect", "direct_response"].into_iter().find(|it| route.get(it).is_some());
            match action {
                Some("route") => clusters.extend(clusters_of(&route["route"])),
                Some(action) => {
                    lines.push(format!("            answered by Envoy itself: {} {}", action, route[action]))
                }
                None => {}
            }
        }
    }
    if configurations.is_empty() {
        clusters = clusters_of(&listener["filter_chains"]);
    }
    clusters.sort();
    clusters.dedup();
    for name in clusters {
        let Some(cluster) = get(ResourceKind::Cluster, &name) else {
            lines.push(format!("  cluster   {name} is missing: 503"));
            continue;
        };
        let endpoints = cluster["eds_cluster_config"]["service_name"].as_str().unwrap_or(&name);
        let assignment = get(ResourceKind::Endpoints, endpoints);
        lines.push(format!("  cluster   {name}"));
        let mut addresses = Vec::new();
        under(assignment.as_ref().unwrap_or(&cluster["load_assignment"]), "socket_address", &mut addresses);
        let addresses: Vec<_> = addresses.into_iter().map(address).collect();
        lines.push(match addresses.as_slice() {
            [] => format!("  endpoints none of {endpoints} is ready: 503"),
            addresses => format!("  endpoints {}", addresses.join(", ")),
        });
    }
    lines
}

/// Virtual host and route: all of them, or the one for a URL.
fn chosen<'a>(configuration: &'a Value, target: &Target) -> Vec<(&'a str, &'a Value)> {
    let hosts = list(&configuration["virtual_hosts"]);
    let domains =
        hosts.iter().flat_map(|host| list(&host["domains"]).iter().map(move |it| (it.as_str().unwrap_or("*"), host)));
    let Target::Url { host, port, path } = target else {
        return domains
            .flat_map(|(domain, host)| list(&host["routes"]).iter().map(move |route| (domain, route)))
            .collect();
    };
    let with_port = format!("{host}:{port}");
    let fitting = domains.filter_map(|(domain, it)| {
        // Envoy compares what the client wrote, which has the port when it is not 80.
        let rank =
            if *port == 80 { rank(domain, host) } else { rank(domain, &with_port).or_else(|| rank(domain, host)) };
        Some((rank?, domain, it))
    });
    let Some((_, domain, best)) = fitting.max_by_key(|(rank, ..)| *rank) else { return Vec::new() };
    let first = list(&best["routes"]).iter().find(|route| matches(&route["match"], path));
    first.map(|route| (domain, route)).into_iter().collect()
}

/// How well a domain fits: exact, then the longest suffix, then the longest prefix, then anything.
fn rank(domain: &str, host: &str) -> Option<(u8, usize)> {
    let domain = domain.to_ascii_lowercase();
    let longer = |part: &str| host.len() > part.len();
    match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(""), _) => Some((0, 0)),
        (Some(suffix), _) => (host.ends_with(suffix) && longer(suffix)).then_some((2, suffix.len())),
        (None, Some(prefix)) => (host.starts_with(prefix) && longer(prefix)).then_some((1, prefix.len())),
        (None, None) => (domain == host).then_some((3, 0)),
    }
}

/// Whether a path fits. What else the match asks for is shown, not decided: nobody knows the request's headers.
fn matches(of: &Value, path: &str) -> bool {
    let bare = path.split('?').next().unwrap_or_default();
    let is = |key: &str| of[key].as_str();
    if let Some(exact) = is("path") {
        return bare == exact;
    }
    if let Some(prefix) = is("prefix") {
        return path.starts_with(prefix);
    }
    if let Some(prefix) = is("path_separated_prefix") {
        return bare.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    let whole = of["safe_regex"]["regex"].as_str().and_then(|it| regex::Regex::new(&format!("^(?:{it})$")).ok());
    whole.is_some_and(|regex| regex.is_match(bare))
}

fn described(of: &Value) -> String {
    let Some(fields) = of.as_object() else { return String::new() };
    fields.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

/// The clusters that get requests: of a route, or of every TCP proxy in filter chains.
fn clusters_of(action: &Value) -> Vec<String> {
    let (mut single, mut weighted) = (Vec::new(), Vec::new());
    under(action, "cluster", &mut single);
    under(action, "weighted_clusters", &mut weighted);
    let shares = weighted.iter().flat_map(|it| list(&it["clusters"])).map(|share| &share["name"]);
    single.into_iter().chain(shares).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn address(socket: &Value) -> String {
    let ip = socket["address"].as_str().unwrap_or_default();
    let port = &socket["port_value"];
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}
