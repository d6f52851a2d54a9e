use serde_json::{Value as Json, json};

use crate::{Problem, path::Path, pool, walker};

fn problems(message: &str, json: &Json) -> Vec<String> {
    let (message, mut problems) = walker::from_json(json, &pool::message_of(message).unwrap(), "r");
    assert_eq!(problems, Vec::<Problem>::new());
    super::check(&message, Path::new("r"), &mut problems);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn each_kind_of_rule_tells_where_and_what() {
    let cluster = "envoy.config.cluster.v3.Cluster";
    let address = "envoy.config.core.v3.SocketAddress";
    let cases = [
        (cluster, json!({"connect_timeout": "0s"})),
        (cluster, json!({"name": "c", "lb_policy": 77})),
        (cluster, json!({"name": "c", "health_checks": [{"interval": "1s", "timeout": "1s"}]})),
        (cluster, json!({"name": "c", "outlier_detection": {"max_ejection_percent": 101}})),
        (cluster, json!({"name": "c", "common_lb_config": {"healthy_panic_threshold": {"value": 100.5}}})),
        (address, json!({"address": "", "port_value": 70000})),
        ("envoy.config.core.v3.DataSource", json!({})),
        ("envoy.config.core.v3.HeaderValue", json!({"key": "a\nb", "value": "x"})),
        ("envoy.config.core.v3.QuicKeepAliveSettings", json!({"initial_interval": "0.5s"})),
        ("envoy.config.core.v3.Http2ProtocolOptions", json!({"max_concurrent_streams": 0})),
        ("envoy.config.route.v3.RouteConfiguration", json!({"virtual_hosts": [{"name": "v", "domains": []}]})),
        (
            "envoy.config.route.v3.RouteConfiguration",
            json!({"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{}]}]}),
        ),
    ];
    let report = cases.map(|(message, json)| format!("{json}\n  {}", problems(message, &json).join("\n  ")));
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn rules_reach_into_an_any() {
    let limit = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "",
        "token_bucket": {"max_tokens": 1},
    });
    let filter = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
    assert_eq!(
        problems(filter, &json!({"name": "f", "typed_config": limit})),
        ["r.typed_config.stat_prefix: must not be empty", "r.typed_config.token_bucket.fill_interval: is required",]
    );
}

#[test]
fn what_is_not_set_breaks_no_rule_but_required() {
    assert_eq!(problems("envoy.config.cluster.v3.Cluster", &json!({"name": "c"})), Vec::<String>::new());
    let weight = "envoy.config.route.v3.WeightedCluster";
    assert_eq!(problems(weight, &json!({})), ["r.clusters: must not be empty"]);
}
