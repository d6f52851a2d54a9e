use std::collections::BTreeSet;

use prost_reflect::Kind;
use serde_json::{Value, json};

use super::{Owner, qualify, table};
use crate::{EnvoyResource, decode, pool, refs};

const OWN: Owner<'_> = Owner { namespace: "default", name: "lb" };
const CLUSTERWIDE: Owner<'_> = Owner { namespace: "", name: "lb" };

fn resource(kind: &str, mut json: Value) -> EnvoyResource {
    json["@type"] = json!(format!("type.googleapis.com/{kind}"));
    match decode(&json, "spec.resources[0]") {
        Ok(resource) => resource,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn cluster(name: &str) -> EnvoyResource {
    resource("envoy.config.cluster.v3.Cluster", json!({"name": name, "type": "EDS"}))
}

fn route(name: &str, cluster: &str) -> EnvoyResource {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}});
    let hosts = json!([{"name": "host", "domains": ["*"], "routes": [route]}]);
    resource("envoy.config.route.v3.RouteConfiguration", json!({"name": name, "virtual_hosts": hosts}))
}

fn named(mut resource: EnvoyResource, owner: &Owner<'_>) -> String {
    qualify(&mut resource, owner).unwrap();
    resource.name().to_owned()
}

#[test]
fn default_mode_leaves_a_name_with_a_slash_alone() {
    assert_eq!(named(cluster("x"), &OWN), "default/lb/x");
    assert_eq!(named(cluster("default/echo:80"), &OWN), "default/echo:80");
    assert_eq!(named(cluster("default:echo:80"), &OWN), "default/lb/default:echo:80");
    assert_eq!(named(cluster("x"), &CLUSTERWIDE), "/lb/x");
    assert_eq!(named(cluster("other/x"), &CLUSTERWIDE), "other/x");
}

#[test]
fn force_mode_prefixes_all_but_names_of_the_own_namespace() {
    assert_eq!(named(route("x", "c"), &OWN), "default/lb/x");
    assert_eq!(named(route("default/x", "c"), &OWN), "default/x");
    assert_eq!(named(route("other/x", "c"), &OWN), "default/lb/other/x");
    assert_eq!(named(route("defaults/x", "c"), &OWN), "default/lb/defaults/x");
    assert_eq!(named(route("x", "c"), &CLUSTERWIDE), "/lb/x");
    assert_eq!(named(route("ns/x", "c"), &CLUSTERWIDE), "/lb/ns/x");
    assert_eq!(named(route("/lb/x", "c"), &CLUSTERWIDE), "/lb/x");
}

#[test]
fn qualifying_twice_changes_nothing() {
    for owner in [OWN, CLUSTERWIDE] {
        let mut once = route("x", "c");
        qualify(&mut once, &owner).unwrap();
        let mut twice = once.clone();
        qualify(&mut twice, &owner).unwrap();
        assert_eq!(once.encode(), twice.encode());
    }
}

#[test]
fn another_namespace_can_be_referred_to_but_not_defined() {
    let problem = qualify(&mut cluster("other/x"), &OWN).unwrap_err();
    assert_eq!(problem.path, "spec.resources[0].name");
    assert!(problem.message.contains("belongs to namespace \"other\""), "{problem}");

    let mut route = route("x", "other/x");
    qualify(&mut route, &OWN).unwrap();
    assert!(refs(&route).clusters.contains_key("other/x"));
}

#[test]
fn references_in_nested_messages_get_full_names() {
    let hcm = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "s",
        "rds": {"route_config_name": "r"},
        "http_filters": [
            {"name": "health", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
                "pass_through_mode": false,
                "cluster_min_healthy_percentages": {"c": {"value": 50}, "default/d": {"value": 50}},
            }},
            {"name": "envoy.filters.http.router"},
        ],
    });
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "cert"}]},
    });
    let mut listener = resource(
        "envoy.config.listener.v3.Listener",
        json!({"name": "l", "filter_chains": [{
            "transport_socket": {"name": "tls", "typed_config": tls},
            "filters": [{"name": "hcm", "typed_config": hcm}],
        }]}),
    );
    qualify(&mut listener, &OWN).unwrap();
    let chain = &listener.to_json().unwrap()["filter_chains"][0];
    let hcm = &chain["filters"][0]["typed_config"];
    assert_eq!(hcm["rds"]["route_config_name"], "default/lb/r");
    assert_eq!(hcm["rds"]["config_source"], json!({"ads": {}, "resource_api_version": "V3"}));
    let percentages = &hcm["http_filters"][0]["typed_config"]["cluster_min_healthy_percentages"];
    assert_eq!(percentages.as_object().unwrap().keys().collect::<Vec<_>>(), ["default/d", "default/lb/c"]);

    let refs = refs(&listener);
    let percentages = "cluster_min_healthy_percentages";
    let health = format!(
        "spec.resources[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.{percentages}"
    );
    assert_eq!(refs.clusters["default/lb/c"], format!("{health}[\"default/lb/c\"]"));
    let route = refs.routes.get("default/lb/r").unwrap();
    assert_eq!(route, "spec.resources[0].filter_chains[0].filters[0].typed_config.rds.route_config_name");
    assert_eq!(refs.secrets.keys().collect::<Vec<_>>(), ["default/lb/cert"]);
}

#[test]
fn a_secret_is_named_outside_of_sds_too() {
    let tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls";
    let context = json!({
        "@type": format!("{tls}.v3.DownstreamTlsContext"),
        "common_tls_context": {"custom_tls_certificate_selector": {"name": "by-name", "typed_config": {
            "@type": format!("{tls}.cert_selectors.on_demand_secret.v3.Config"),
            "certificate_mapper": {"name": "static", "typed_config": {
                "@type": format!("{tls}.cert_mappers.static_name.v3.StaticName"), "name": "one",
            }},
            "prefetch_secret_names": ["two", "default/three"],
        }}},
    });
    let mut listener = resource(
        "envoy.config.listener.v3.Listener",
        json!({"name": "l", "filter_chains": [{"transport_socket": {"name": "tls", "typed_config": context}}]}),
    );
    qualify(&mut listener, &OWN).unwrap();
    let refs = refs(&listener);
    assert_eq!(refs.secrets.keys().collect::<Vec<_>>(), ["default/lb/one", "default/lb/two", "default/three"]);
    let json = listener.to_json().unwrap();
    let selector = &json["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]["custom_tls_certificate_selector"]
        ["typed_config"];
    assert_eq!(selector["config_source"], json!({"ads": {}, "resource_api_version": "V3"}));
}

#[test]
fn a_cluster_of_type_eds_asks_by_its_own_name_or_by_its_service_name() {
    let eds = |mut resource: EnvoyResource| {
        qualify(&mut resource, &OWN).unwrap();
        refs(&resource).endpoints.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(eds(cluster("default/echo")), ["default/echo"]);
    let with = |config: Value| {
        let json = json!({"name": "c", "type": "EDS", "eds_cluster_config": config});
        resource("envoy.config.cluster.v3.Cluster", json)
    };
    assert_eq!(eds(with(json!({"service_name": "default/echo:80"}))), ["default/echo:80"]);
    assert_eq!(eds(with(json!({"service_name": "own"}))), ["default/lb/own"]);
    let file = json!({"eds_config": {"path_config_source": {"path": "/x"}}});
    assert_eq!(eds(with(file)), Vec::<String>::new());
    let fixed = resource("envoy.config.cluster.v3.Cluster", json!({"name": "c", "type": "STATIC"}));
    assert_eq!(eds(fixed), Vec::<String>::new());
}

#[test]
fn every_row_of_the_table_is_a_field() {
    let rows = table::FORCED
        .iter()
        .chain(&table::DEFAULT)
        .chain(table::CLUSTERS)
        .chain(table::NO_CLUSTERS)
        .chain(&table::SECRETS);
    for (message, field) in rows {
        let of = pool::pool().get_message_by_name(message).unwrap_or_else(|| panic!("no message {message}"));
        let kind = of.get_field_by_name(field).unwrap_or_else(|| panic!("no field {field} in {message}")).kind();
        assert!(matches!(kind, Kind::String), "{message}.{field} is no string");
    }
    for (message, field) in table::CLUSTER_KEYS {
        assert!(pool::message_of(message).unwrap().get_field_by_name(field).unwrap().is_map());
    }
}

/// Nothing in the descriptors says what a reference is, so a person decides on each field that looks like one.
#[test]
fn every_string_field_with_cluster_in_its_name_is_decided_on() {
    let decided = table::CLUSTERS.iter().chain(table::NO_CLUSTERS).copied().collect::<BTreeSet<_>>();
    let mut open = Vec::new();
    for message in pool::pool().all_messages().filter(|message| !message.is_map_entry()) {
        let weight = message.name() == "ClusterWeight";
        for field in message.fields() {
            let looks = field.name().contains("cluster") || (weight && field.name() == "name");
            if looks && field.kind() == Kind::String && !decided.contains(&(message.full_name(), field.name())) {
                open.push(format!("{} {}", message.full_name(), field.name()));
            }
            let keys = (message.full_name(), field.name());
            if field.is_map() && field.name().contains("cluster") && !table::CLUSTER_KEYS.contains(&keys) {
                open.push(format!("keys of {} {}", message.full_name(), field.name()));
            }
        }
    }
    assert_eq!(open, Vec::<String>::new(), "decide in table.rs whether these name a cluster");
}

/// The same for names of the other kinds of resource.
#[test]
fn every_string_field_that_looks_like_another_name_is_decided_on() {
    const LOOKS: [&str; 3] = ["secret", "route_config", "listener_name"];
    // Keys, names inside of a module, and routes that are not served, see `check::sources`.
    const NO_NAMES: [(&str, &str); 7] = [
        ("envoy.config.route.v3.ScopedRouteConfiguration", "route_configuration_name"),
        ("envoy.extensions.common.aws.v3.InlineCredentialProvider", "secret_access_key"),
        ("envoy.extensions.filters.http.aws_lambda.v3.Credentials", "secret_access_key"),
        ("envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute", "per_route_config_name"),
        ("envoy.extensions.filters.network.dubbo_proxy.v3.Drds", "route_config_name"),
        ("envoy.extensions.filters.network.generic_proxy.v3.GenericRds", "route_config_name"),
        ("envoy.extensions.filters.network.thrift_proxy.v3.Trds", "route_config_name"),
    ];
    let known = table::FORCED.iter().chain(&table::DEFAULT).chain(&table::SECRETS).chain(&NO_NAMES);
    let decided = known.copied().collect::<BTreeSet<_>>();
    let mut open = Vec::new();
    for message in pool::pool().all_messages().filter(|message| !message.is_map_entry()) {
        for field in message.fields().filter(|field| field.kind() == Kind::String) {
            let looks = LOOKS.iter().any(|part| field.name().contains(part));
            if looks && !decided.contains(&(message.full_name(), field.name())) {
                open.push(format!("{} {}", message.full_name(), field.name()));
            }
        }
    }
    assert_eq!(open, Vec::<String>::new(), "decide in table.rs whether these name a resource");
}
