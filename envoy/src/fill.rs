//! What users may leave out, because here it can only be one thing.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::{ResourceKind, encode, pool, qualify::table, visit};

/// The router's type, without which Envoy does not know the filter any more.
pub(crate) const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
/// An http filter of an HCM or of a cluster.
pub(crate) const HTTP_FILTER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";

/// Fills in what `message` leaves open:
///
/// - RDS, SDS and EDS sources: the one xDS server, over ADS;
/// - the type of a filter that is named `envoy.filters.http.router` and has none, as older manifests write it;
/// - a cluster's circuit breakers, see [`circuit_breakers`].
pub(crate) fn fill(kind: ResourceKind, message: &mut DynamicMessage) {
    if kind == ResourceKind::Cluster {
        eds(message);
        circuit_breakers(message);
    }
    visit::rewrite(message, &mut Filler);
}

/// A cluster of type EDS asks the xDS server.
fn eds(cluster: &mut DynamicMessage) {
    if table::is_eds(cluster) && !cluster.has_field_by_name("eds_cluster_config") {
        // Reading a field mutably sets it.
        let _ = cluster.get_field_by_name_mut("eds_cluster_config");
    }
}

/// One threshold of 1024 connections, 1024 requests and 128 retries, as Cilium's flags have it by default. Envoy's own
/// default of 3 retries is spent by the first backend that goes away.
fn circuit_breakers(cluster: &mut DynamicMessage) {
    const LIMITS: [(&str, u32); 3] = [("max_connections", 1024), ("max_requests", 1024), ("max_retries", 128)];
    let (Some(thresholds), Some(wrapper)) = (
        pool::message_of("envoy.config.cluster.v3.CircuitBreakers.Thresholds"),
        pool::message_of("google.protobuf.UInt32Value"),
    ) else {
        return;
    };
    if cluster.has_field_by_name("circuit_breakers") {
        return;
    }
    let mut threshold = DynamicMessage::new(thresholds);
    for (field, limit) in LIMITS {
        let mut value = DynamicMessage::new(wrapper.clone());
        value.set_field_by_name("value", Value::U32(limit));
        threshold.set_field_by_name(field, Value::Message(value));
    }
    if let Some(Value::Message(breakers)) = cluster.get_field_by_name_mut("circuit_breakers") {
        breakers.set_field_by_name("thresholds", Value::List(vec![Value::Message(threshold)]));
    }
}

struct Filler;

impl visit::Rewriter for Filler {
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        match message.descriptor().full_name() {
            table::RDS => source(message, "config_source"),
            table::SDS => source(message, "sds_config"),
            table::ON_DEMAND_SECRET => source(message, "config_source"),
            "envoy.config.cluster.v3.Cluster.EdsClusterConfig" => source(message, "eds_config"),
            HTTP_FILTER => router(message),
            _ => false,
        }
    }
}

/// Sets `field`, a ConfigSource, to `{ads: {}, resource_api_version: V3}` if it is not set.
fn source(message: &mut DynamicMessage, field: &str) -> bool {
    if message.has_field_by_name(field) {
        return false;
    }
    let Some(Value::Message(source)) = message.get_field_by_name_mut(field) else { return false };
    let _ = source.get_field_by_name_mut("ads");
    // V3 is number 2 of ApiVersion.
    source.set_field_by_name("resource_api_version", Value::EnumNumber(2));
    true
}

fn router(filter: &mut DynamicMessage) -> bool {
    let named = encode::get_str(filter, "name") == "envoy.filters.http.router";
    let typed = filter.has_field_by_name("typed_config") || filter.has_field_by_name("config_discovery");
    if !named || typed {
        return false;
    }
    let Some(Value::Message(any)) = filter.get_field_by_name_mut("typed_config") else { return false };
    any.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{ROUTER}")));
    true
}
