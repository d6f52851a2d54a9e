//! Who may connect, or send requests: ranges of addresses as Envoy's RBAC has them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::options::Range;

/// Of requests; also the name under which routes say more.
const REQUESTS: &str = "envoy.filters.http.rbac";

/// The network filter that closes the connections of everybody else. The address is that of a PROXY header, where there is one,
/// and the peer's otherwise.
pub(super) fn connections(sources: &BTreeSet<Range>) -> Value {
    json!({
        "name": "envoy.filters.network.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
            "stat_prefix": "sources",
            "rules": rules(sources),
        },
    })
}

/// The HTTP filter that asks routes who may send requests to them. Where a route does not say, everybody may.
pub(super) fn requests() -> Value {
    json!({
        "name": REQUESTS,
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" },
    })
}

/// A route that answers everybody else with 403. The address is the one that `x-forwarded-for` begins with as far as it is
/// believed: without proxies in front it is that of the connection.
pub(super) fn only_for(mut route: Value, sources: &BTreeSet<Range>) -> Value {
    let of_route = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
    route["typed_per_filter_config"] = json!({ REQUESTS: { "@type": of_route, "rbac": { "rules": rules(sources) } } });
    route
}

/// Without a range nobody passes.
fn rules(sources: &BTreeSet<Range>) -> Value {
    let range = |it: &Range| json!({ "remote_ip": { "address_prefix": it.address, "prefix_len": it.bits } });
    let principals: Vec<_> = sources.iter().map(range).collect();
    let policy = json!({ "permissions": [{ "any": true }], "principals": principals });
    let policies = if sources.is_empty() { json!({}) } else { json!({ "sources": policy }) };
    json!({ "action": "ALLOW", "policies": policies })
}
