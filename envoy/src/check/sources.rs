//! Parts of a resource that ask the xDS server for what no object can hold: they would wait for ever.

use prost_reflect::{DynamicMessage, ReflectMessage as _};

use crate::{Problem, encode, path::Path};

/// What is served over xDS: clusters, listeners, and by name what these fields ask for.
#[cfg(test)]
pub(crate) const SERVED: [(&str, &str); 6] = [
    ("envoy.config.cluster.v3.Cluster.EdsClusterConfig", "eds_config"),
    ("envoy.extensions.filters.http.on_demand.v3.OnDemandCds", "source"),
    ("envoy.extensions.filters.network.http_connection_manager.v3.Rds", "config_source"),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.OnDemand", "odcds_config"),
    ("envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config", "config_source"),
    ("envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig", "sds_config"),
];

/// Config sources of what is not served, and what that is.
pub(crate) const UNSERVED: [(&str, &str, &str); 10] = [
    ("envoy.config.core.v3.ExtensionConfigSource", "config_source", "configurations of extensions"),
    ("envoy.config.endpoint.v3.LedsClusterLocalityConfig", "leds_config", "single endpoints"),
    ("envoy.config.listener.v3.Listener.FcdsConfig", "config_source", "filter chains"),
    ("envoy.config.route.v3.Vhds", "config_source", "virtual hosts"),
    (
        "envoy.extensions.access_loggers.filters.process_ratelimit.v3.DynamicTokenBucket",
        "config_source",
        "token buckets",
    ),
    ("envoy.extensions.clusters.aggregate.v3.AggregateClusterResource", "config_source", "lists of clusters"),
    ("envoy.extensions.filters.network.dubbo_proxy.v3.Drds", "config_source", "routes of Dubbo"),
    ("envoy.extensions.filters.network.generic_proxy.v3.GenericRds", "config_source", "routes of the generic proxy"),
    ("envoy.extensions.filters.network.http_connection_manager.v3.ScopedRds", "scoped_rds_config_source", "scopes"),
    ("envoy.extensions.filters.network.thrift_proxy.v3.Trds", "config_source", "routes of Thrift"),
];

/// Config sources that nothing comes of, or that stand in no resource.
#[cfg(test)]
pub(crate) const NOT_ASKED: [(&str, &str); 7] = [
    ("envoy.config.bootstrap.v3.Bootstrap", "config_sources"),
    ("envoy.config.bootstrap.v3.Bootstrap", "default_config_source"),
    ("envoy.config.bootstrap.v3.Bootstrap.DynamicResources", "cds_config"),
    ("envoy.config.bootstrap.v3.Bootstrap.DynamicResources", "lds_config"),
    ("envoy.config.bootstrap.v3.RuntimeLayer.RtdsLayer", "rtds_config"),
    // Where load is reported to, when anybody asks.
    ("envoy.config.cluster.v3.Cluster", "lrs_server"),
    // For scopes that come over xDS; those in a list hold their routes.
    ("envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes", "rds_config_source"),
];

const SCOPE: &str = "envoy.config.route.v3.ScopedRouteConfiguration";

/// Looks at config sources and scopes. Other messages pass.
pub(super) fn check(message: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    for (_, field, what) in UNSERVED.iter().filter(|(row, ..)| *row == name) {
        let asks_us = |source: &DynamicMessage| ["ads", "self"].iter().any(|kind| source.has_field_by_name(kind));
        if encode::get_message(message, field).is_some_and(asks_us) {
            let why = format!("{what} are not served over xDS, so this would wait for ever; write them out here");
            problems.push(Problem::error(path.to(field), why));
        }
    }
    if name == SCOPE {
        scope(message, path, problems);
    }
}

/// Envoy 1.40 takes the scopes of a list with their routes in them, and in no other way.
fn scope(scope: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    if !encode::get_str(scope, "route_configuration_name").is_empty() {
        let why = "Envoy asks for no routes by name here; write them in route_configuration";
        problems.push(Problem::error(path.to("route_configuration_name"), why));
    } else if encode::get_message(scope, "route_configuration").is_none() {
        problems.push(Problem::error(path.to("route_configuration"), "is missing: it holds the routes of the scope"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{NOT_ASKED, SERVED, UNSERVED};
    use crate::{decode, pool};

    /// Nothing in the descriptors says which of them we serve, so a person decides on each.
    #[test]
    fn every_config_source_is_decided_on() {
        let unserved = UNSERVED.iter().map(|(message, field, _)| (*message, *field));
        let decided: BTreeSet<_> = SERVED.into_iter().chain(NOT_ASKED).chain(unserved).collect();
        let mut there = BTreeSet::new();
        for message in pool::pool().all_messages() {
            let sources = message.fields().filter(|field| {
                field.kind().as_message().is_some_and(|kind| kind.full_name() == "envoy.config.core.v3.ConfigSource")
            });
            there.extend(sources.map(|field| (message.full_name().to_owned(), field.name().to_owned())));
        }
        let there: BTreeSet<_> = there.iter().map(|(message, field)| (message.as_str(), field.as_str())).collect();
        assert_eq!(decided, there);
    }

    fn listener(hcm: Value) -> Vec<String> {
        let filters = "type.googleapis.com/envoy.extensions.filters";
        let mut manager = json!({
            "@type": format!("{filters}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "s",
            "http_filters": [{"name": "envoy.filters.http.router"}],
        });
        manager.as_object_mut().into_iter().for_each(|it| it.extend(hcm.as_object().cloned().unwrap_or_default()));
        let json = json!({
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "l",
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
        });
        decode(&json, "r").err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    const MANAGER: &str = "r.filter_chains[0].filters[0].typed_config";

    #[test]
    fn what_is_not_served_is_not_waited_for() {
        let ads = json!({"ads": {}, "resource_api_version": "V3"});
        let discovered = json!({"config_discovery": {
            "config_source": ads,
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"],
        }, "name": "cors"});
        let routes = json!({"name": "r", "virtual_hosts": []});
        let found = listener(json!({
            "route_config": {"name": "r", "vhds": {"config_source": ads}},
            "http_filters": [discovered, {"name": "envoy.filters.http.router"}],
        }));
        let starts = [
            format!("{MANAGER}.http_filters[0].config_discovery.config_source: configurations of extensions are not"),
            format!("{MANAGER}.route_config.vhds.config_source: virtual hosts are not served"),
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        found.iter().zip(&starts).for_each(|(found, start)| assert!(found.starts_with(start), "{found}"));
        assert_eq!(listener(json!({"route_config": routes})), Vec::<String>::new());
    }

    #[test]
    fn scopes_stand_in_a_list_with_their_routes() {
        let builder = json!({"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]});
        let scoped = |by: &str, value: Value| {
            let mut scoped = json!({"name": "s", "scope_key_builder": builder});
            scoped[by] = value;
            listener(json!({"scoped_routes": scoped}))
        };
        let list = |fields: Value| {
            let mut scope = json!({"name": "a", "key": {"fragments": [{"string_key": "a"}]}});
            scope.as_object_mut().into_iter().for_each(|it| it.extend(fields.as_object().cloned().unwrap_or_default()));
            scoped("scoped_route_configurations_list", json!({"scoped_route_configurations": [scope]}))
        };
        assert_eq!(list(json!({"route_configuration": {"name": "r"}})), Vec::<String>::new());
        let at = format!("{MANAGER}.scoped_routes.scoped_route_configurations_list.scoped_route_configurations[0]");
        let named = list(json!({"route_configuration_name": "r"}));
        assert!(named.len() == 1 && named[0].starts_with(&format!("{at}.route_configuration_name: ")), "{named:?}");
        let without = list(json!({}));
        assert!(without.len() == 1 && without[0].starts_with(&format!("{at}.route_configuration: ")), "{without:?}");
        let ads = json!({"ads": {}, "resource_api_version": "V3"});
        let served = scoped("scoped_rds", json!({"scoped_rds_config_source": ads}));
        let field = format!("{MANAGER}.scoped_routes.scoped_rds.scoped_rds_config_source: scopes are not served");
        assert!(served.len() == 1 && served[0].starts_with(&field), "{served:?}");
    }
}
