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
/// - the authority of calls to a gRPC service, see [`authority`];
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
            "envoy.config.core.v3.GrpcService.EnvoyGrpc" => authority(message),
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

/// Envoy calls a gRPC service by its cluster's name, and `namespace/object/cluster` is no authority: strict servers, among
/// them those of Rust, refuse the call. So it is the name as it was written, or `service.namespace` for a Service.
fn authority(service: &mut DynamicMessage) -> bool {
    let cluster = encode::get_str(service, "cluster_name");
    if cluster.is_empty() || !encode::get_str(service, "authority").is_empty() {
        return false;
    }
    let authority = match cluster.split_once('/') {
        Some((namespace, name)) if !name.contains('/') => {
            let service = name.split_once(':').map_or(name, |(service, _)| service);
            format!("{service}.{namespace}")
        }
        _ => cluster.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    service.set_field_by_name("authority", Value::String(authority));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::decode;

    #[test]
    fn grpc_services_are_called_by_a_name_that_is_an_authority() {
        let authority = |service: serde_json::Value| {
            let log = json!({
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
                "common_config": {"log_name": "l", "transport_api_version": "V3", "grpc_service": {"envoy_grpc": service}},
            });
            let listener = json!({
                "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                "name": "l",
                "access_log": [{"name": "log", "typed_config": log}],
            });
            let listener = decode(&listener, "r").ok().unwrap().to_json().unwrap();
            let config = &listener["access_log"][0]["typed_config"]["common_config"];
            config["grpc_service"]["envoy_grpc"]["authority"].as_str().unwrap().to_owned()
        };
        for (cluster, expected) in
            [("logs", "logs"), ("ns/logs", "logs.ns"), ("ns/logs:grpc", "logs.ns"), ("ns/object/logs", "logs")]
        {
            assert_eq!(authority(json!({"cluster_name": cluster})), expected, "{cluster}");
        }
        assert_eq!(authority(json!({"cluster_name": "ns/logs", "authority": "own"})), "own");
    }
}
