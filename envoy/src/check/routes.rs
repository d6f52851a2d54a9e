//! Routes that Envoy refuses without saying where, or that never get a request.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::{Problem, encode, path::Path};

/// Looks at route configurations and weighted clusters. Other messages pass.
pub(super) fn check(message: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    match message.descriptor().full_name() {
        "envoy.config.route.v3.RouteConfiguration" => domains(message, path, problems),
        "envoy.config.route.v3.WeightedCluster" => weights(message, path, problems),
        _ => {}
    }
}

/// A domain stands once in all virtual hosts of a configuration; upper and lower case are one.
fn domains(configuration: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (at, host) in messages(configuration, "virtual_hosts").enumerate() {
        let domains = encode::get(host, "domains").and_then(Value::as_list).unwrap_or_default();
        for (index, domain) in domains.iter().filter_map(Value::as_str).enumerate() {
            let here = path.to(&format!("virtual_hosts[{at}].domains[{index}]"));
            match first.get(&domain.to_ascii_lowercase()) {
                Some(other) => {
                    let message = format!("{domain:?} stands at {other} already; Envoy refuses the configuration");
                    problems.push(Problem::error(here, message));
                }
                None => drop(first.insert(domain.to_ascii_lowercase(), here)),
            }
        }
    }
}

/// Every share has a weight, and they are not all zero.
fn weights(weighted: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    let (mut sum, mut complete) = (0_u64, true);
    for (at, cluster) in messages(weighted, "clusters").enumerate() {
        match encode::get_message(cluster, "weight") {
            Some(weight) => {
                let value = encode::get(weight, "value").and_then(Value::as_u32).unwrap_or_default();
                sum += u64::from(value);
            }
            None => {
                complete = false;
                let message = "is missing: it says which share of the requests this cluster gets";
                problems.push(Problem::error(path.to(&format!("clusters[{at}].weight")), message));
            }
        }
    }
    if complete && sum == 0 {
        let message = "the weights sum to zero, so no cluster would get a request";
        problems.push(Problem::error(path.to("clusters"), message));
    }
    if sum > u64::from(u32::MAX) {
        let message = format!("the weights sum to {sum}, and Envoy takes {} at most", u32::MAX);
        problems.push(Problem::error(path.to("clusters"), message));
    }
}

fn messages<'a>(message: &'a DynamicMessage, field: &str) -> impl Iterator<Item = &'a DynamicMessage> {
    let list = encode::get(message, field).and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::decode;

    fn problems(hosts: &Value) -> Vec<String> {
        let type_url = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
        let json = json!({"@type": type_url, "name": "r", "virtual_hosts": hosts});
        decode(&json, "r").err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn weighted(clusters: &Value) -> Value {
        let routes = json!([{"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}]);
        json!([{"name": "h", "domains": ["*"], "routes": routes}])
    }

    #[test]
    fn weights_are_there_and_not_all_zero() {
        let at = "r.virtual_hosts[0].routes[0].route.weighted_clusters.clusters";
        let fine = weighted(&json!([{"name": "a", "weight": 0}, {"name": "b", "weight": 1}]));
        assert_eq!(problems(&fine), Vec::<String>::new());
        let zero = weighted(&json!([{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]));
        assert_eq!(problems(&zero), [format!("{at}: the weights sum to zero, so no cluster would get a request")]);
        let open = problems(&weighted(&json!([{"name": "a", "weight": 0}, {"name": "b"}])));
        assert_eq!(open.len(), 1);
        assert!(open[0].starts_with(&format!("{at}[1].weight: is missing")), "{open:?}");
        let most = weighted(&json!([{"name": "a", "weight": u32::MAX}, {"name": "b", "weight": 1}]));
        assert_eq!(problems(&most).len(), 1);
    }

    #[test]
    fn a_domain_stands_once() {
        let host = |name: &str, domains: &[&str]| json!({"name": name, "domains": domains});
        assert_eq!(problems(&json!([host("a", &["a.b", "c.d"]), host("b", &["*.b"])])), Vec::<String>::new());
        let found = problems(&json!([host("a", &["a.b"]), host("b", &["c.d", "A.b"])]));
        assert_eq!(
            found,
            ["r.virtual_hosts[1].domains[1]: \"A.b\" stands at r.virtual_hosts[0].domains[0] already; Envoy refuses \
              the configuration"]
        );
    }
}
