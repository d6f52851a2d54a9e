//! What a route does with a request that it takes.

use serde_json::{Map, Value};

use super::{super::request::Request, list};

/// A cluster and its share of the requests, from 0 to 1.
pub(in super::super) type Share = (String, f64);

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Does {
    /// It goes to clusters, and copies of it to mirrors.
    Forwards { clusters: Vec<Share>, mirrors: Vec<String> },
    /// Envoy answers by itself: how.
    Answers(String),
    /// A part of Envoy decides that is not looked at here: which.
    Unknown(String),
}

/// Reads the action of a Route.
pub(in super::super) fn of_route(route: &Value, request: Option<&Request>) -> Does {
    if let Some(forward) = route.get("route") {
        let mirrors = list(&forward["request_mirror_policies"]).iter().filter_map(|it| it["cluster"].as_str());
        let mirrors = mirrors.map(str::to_owned).collect();
        return match clusters(forward, request) {
            Ok(clusters) => Does::Forwards { clusters, mirrors },
            Err(does) => does,
        };
    }
    if let Some(direct) = route.get("direct_response") {
        return Does::Answers(direct["status"].to_string());
    }
    if let Some(redirect) = route.get("redirect") {
        return Does::Answers(format!("a redirect, {}", plain(redirect)));
    }
    Does::Unknown("a filter answers".to_owned())
}

/// The clusters of a route or of a TCP proxy, which say it with the same fields.
pub(in super::super) fn clusters(forward: &Value, request: Option<&Request>) -> Result<Vec<Share>, Does> {
    if let Some(cluster) = forward["cluster"].as_str() {
        return Ok(vec![(cluster.to_owned(), 1.0)]);
    }
    if let Some(header) = forward["cluster_header"].as_str() {
        return match request.map(|request| request.header(header)) {
            Some(Some(cluster)) => Ok(vec![(cluster.to_owned(), 1.0)]),
            Some(None) => Err(Does::Answers(format!("503: header {header}, which names the cluster, is missing"))),
            None => Err(Does::Unknown(format!("header {header} names the cluster"))),
        };
    }
    if let Some(weighted) = forward.get("weighted_clusters") {
        let all = list(&weighted["clusters"]);
        let weight = |it: &Value| it["weight"].as_f64().unwrap_or_default();
        let total: f64 = all.iter().map(weight).sum();
        let name = |it: &Value| {
            let by_header = || Some(format!("(named by header {})", it["cluster_header"].as_str()?));
            it["name"]
                .as_str()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .or_else(by_header)
                .unwrap_or_default()
        };
        return Ok(all.iter().map(|it| (name(it), if total > 0.0 { weight(it) / total } else { 0.0 })).collect());
    }
    Err(Does::Unknown("a cluster specifier plugin names the cluster".to_owned()))
}

/// JSON for people: `prefix "/a", headers [...]`.
pub(in super::super) fn plain(json: &Value) -> String {
    let fields = |fields: &Map<String, Value>| {
        fields.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    };
    json.as_object().map_or_else(|| json.to_string(), fields)
}
