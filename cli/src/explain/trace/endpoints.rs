//! From a cluster to the addresses of its backends.

use axoneme_envoy::ResourceKind;
use axoneme_xds::View;
use serde_json::Value;

use super::{
    super::{
        envoy::{list, texts, type_of},
        story::Endpoint,
    },
    get,
};

/// Endpoints of a cluster, or why there are none.
pub(super) fn of_cluster(view: &dyn View, name: &str, depth: usize) -> (Vec<Endpoint>, Option<String>) {
    let Some(cluster) = get(view, ResourceKind::Cluster, name) else {
        return (Vec::new(), Some(format!("cluster {name} is missing: Envoy answers 503")));
    };
    let custom = &cluster["cluster_type"]["typed_config"];
    if type_of(custom) == "ClusterConfig" && depth == 0 && custom.get("clusters").is_some() {
        let parts = texts(&custom["clusters"]).map(|part| of_cluster(view, part, 1));
        let all: Vec<_> = parts.flat_map(|(endpoints, _)| endpoints).collect();
        let problem = all.is_empty().then(|| format!("no cluster of {name} has an endpoint: Envoy answers 503"));
        return (all, problem);
    }
    let mut found = Vec::new();
    if cluster["type"] == "EDS" {
        let service = cluster["eds_cluster_config"]["service_name"].as_str().filter(|it| !it.is_empty());
        let service = service.unwrap_or(name);
        addresses(&get(view, ResourceKind::Endpoints, service).unwrap_or_default(), &mut found);
        let why = || format!("no endpoint of {service} is ready: Envoy answers 503");
        let problem = found.is_empty().then(why);
        return (found, problem);
    }
    addresses(&cluster["load_assignment"], &mut found);
    let chooses_itself = cluster["type"] == "ORIGINAL_DST" || cluster.get("cluster_type").is_some();
    if chooses_itself {
        let what = cluster["type"].as_str().filter(|it| *it == "ORIGINAL_DST").unwrap_or("found by the cluster itself");
        found.push(Endpoint { address: format!("({what})"), locality: None });
    }
    let problem = found.is_empty().then(|| format!("cluster {name} has no endpoint: Envoy answers 503"));
    (found, problem)
}

fn addresses(assignment: &Value, found: &mut Vec<Endpoint>) {
    for group in list(&assignment["endpoints"]) {
        let place = ["zone", "sub_zone"].into_iter().filter_map(|it| group["locality"][it].as_str());
        let place = place.filter(|it| !it.is_empty()).collect::<Vec<_>>().join("/");
        for endpoint in list(&group["lb_endpoints"]) {
            let endpoint = &endpoint["endpoint"];
            let more = list(&endpoint["additional_addresses"]).iter().map(|it| &it["address"]);
            let all: Vec<_> = std::iter::once(&endpoint["address"]).chain(more).filter_map(address).collect();
            let locality = (!place.is_empty()).then(|| place.clone());
            found.push(Endpoint { address: all.join(" or "), locality });
        }
    }
}

fn address(of: &Value) -> Option<String> {
    if let Some(path) = of["pipe"]["path"].as_str() {
        return Some(format!("unix:{path}"));
    }
    if let Some(listener) = of["envoy_internal_address"]["server_listener_name"].as_str() {
        return Some(format!("internal listener {listener}"));
    }
    let socket = &of["socket_address"];
    let (ip, port) = (socket["address"].as_str()?, &socket["port_value"]);
    Some(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
}
