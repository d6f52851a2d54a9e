//! How a host is found among shards: our module says which shard, and which key in it.

use axoneme_hostkey::{FILTER, HOST_HEADER, MODULE, SHARD_HEADER, SHARDS};
use axoneme_xds::{Resource, type_urls::SCOPED_ROUTE};
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Value, json};

use super::{Origin, table};
use crate::intents::Intent;
use crate::problem::Problem;
use crate::translate::ingress::ads;

/// Makes a connection manager take its routes from shards.
pub(super) fn by_shard(manager: &mut Value) {
    let number = json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": SHARDS.to_string() });
    let module = json!({ "name": MODULE });
    let extension = |type_: &str| format!("type.googleapis.com/envoy.extensions.{type_}");
    if let Some(fields) = manager.as_object_mut() {
        fields.remove("rds");
    }
    manager["scoped_routes"] = json!({
        "name": "hosts",
        "scope_key_builder": { "fragments": [{ "header_value_extractor": { "name": SHARD_HEADER, "index": 0 } }] },
        "rds_config_source": ads(),
        "scoped_rds": { "scoped_rds_config_source": ads() },
    });
    let early = json!({
        "name": FILTER,
        "typed_config": {
            "@type": extension("http.early_header_mutation.dynamic_modules.v3.DynamicModuleEarlyHeaderMutation"),
            "dynamic_module_config": module,
            "early_header_mutation_name": FILTER,
            "early_header_mutation_config": number,
        },
    });
    let filter = json!({
        "name": FILTER,
        "typed_config": {
            "@type": extension("filters.http.dynamic_modules.v3.DynamicModuleFilter"),
            "dynamic_module_config": module,
            "filter_name": FILTER,
            "filter_config": number,
        },
    });
    // The first: others are to see the host's own route.
    for (list, extension) in [("early_header_mutation_extensions", early), ("http_filters", filter)] {
        match manager[list].as_array_mut() {
            Some(list) => list.insert(0, extension),
            None => manager[list] = json!([extension]),
        }
    }
}

/// What each shard has besides hosts.
///
/// # Errors
/// What Envoy would refuse.
pub fn shard_head() -> Result<Bytes, Vec<Problem>> {
    table::head(json!({
        "vhost_header": HOST_HEADER,
        "request_headers_to_remove": [HOST_HEADER, SHARD_HEADER],
        // Where the module finds this, a route matched.
        "typed_per_filter_config": {
            FILTER: {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
                "dynamic_module_config": { "name": MODULE },
                "filter_name": FILTER,
            },
        },
    }))
}

/// What leads from a shard's number to its table.
#[must_use]
pub fn scope(origin: &Origin, shard: u32) -> Intent {
    let name = origin.shard(shard);
    let fragments = vec![Fragment { string_key: Some(shard.to_string()) }];
    let scope = Scope { name: name.clone(), route_configuration_name: name.clone(), key: Some(ScopeKey { fragments }) };
    Intent { resource: Resource::new(SCOPED_ROUTE, name, scope.encode_to_vec()), awaited: false, endpoints: None }
}

/// `envoy.config.route.v3.ScopedRouteConfiguration`.
#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    route_configuration_name: String,
    #[prost(message, optional, tag = "3")]
    key: Option<ScopeKey>,
}

/// `ScopedRouteConfiguration.Key`.
#[derive(Clone, PartialEq, prost::Message)]
struct ScopeKey {
    #[prost(message, repeated, tag = "1")]
    fragments: Vec<Fragment>,
}

/// `ScopedRouteConfiguration.Key.Fragment`.
#[derive(Clone, PartialEq, prost::Message)]
struct Fragment {
    #[prost(string, optional, tag = "1")]
    string_key: Option<String>,
}
