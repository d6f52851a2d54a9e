//! Where names of other resources stand in Envoy's messages.
//!
//! Nothing in Envoy's descriptors marks a string as a reference, so this table is ours. A test goes over the whole descriptor
//! set and asks for a decision on every string field with `cluster` in its name.

use prost_reflect::{DynamicMessage, Value};

use crate::encode;

/// HCM's reference to a RouteConfiguration.
pub(crate) const RDS: &str = "envoy.extensions.filters.network.http_connection_manager.v3.Rds";
/// A TLS context's reference to a Secret.
pub(crate) const SDS: &str = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig";
/// Chooses the certificate of a connection by the name of a Secret.
pub(crate) const ON_DEMAND_SECRET: &str =
    "envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config";
/// An address that is the name of an internal listener.
pub(crate) const INTERNAL_ADDRESS: &str = "envoy.config.core.v3.EnvoyInternalAddress";
/// The resource that SDS serves, which can stand inline too.
pub(crate) const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

/// Names in force mode.
pub(crate) const FORCED: [(&str, &str); 4] = [
    ("envoy.config.listener.v3.Listener", "name"),
    ("envoy.config.route.v3.RouteConfiguration", "name"),
    ("envoy.config.route.v3.VirtualHost", "name"),
    (RDS, "route_config_name"),
];

/// Names in default mode that are not references to clusters.
pub(crate) const DEFAULT: [(&str, &str); 5] = [
    ("envoy.config.cluster.v3.Cluster", "name"),
    ("envoy.config.cluster.v3.Cluster.EdsClusterConfig", "service_name"),
    ("envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name"),
    (SDS, "name"),
    (INTERNAL_ADDRESS, "server_listener_name"),
];

/// Strings, and lists of strings, that name a secret, [`SDS`] aside. In default mode.
pub(crate) const SECRETS: [(&str, &str); 4] = [
    ("envoy.extensions.transport_sockets.tls.cert_mappers.filter_state_override.v3.Config", "default_value"),
    ("envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3.SNI", "default_value"),
    ("envoy.extensions.transport_sockets.tls.cert_mappers.static_name.v3.StaticName", "name"),
    (ON_DEMAND_SECRET, "prefetch_secret_names"),
];

/// Maps that have cluster names for keys.
pub(crate) const CLUSTER_KEYS: [(&str, &str); 1] =
    [("envoy.extensions.filters.http.health_check.v3.HealthCheck", "cluster_min_healthy_percentages")];

/// Strings, and lists of strings, that name a cluster. In default mode.
pub(crate) const CLUSTERS: &[(&str, &str)] = &[
    ("envoy.config.core.v3.ApiConfigSource", "cluster_names"),
    ("envoy.config.core.v3.GrpcService.EnvoyGrpc", "cluster_name"),
    ("envoy.config.core.v3.HttpUri", "cluster"),
    ("envoy.config.route.v3.RouteAction", "cluster"),
    ("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", "cluster"),
    ("envoy.config.route.v3.WeightedCluster.ClusterWeight", "name"),
    ("envoy.config.trace.v3.DatadogConfig", "collector_cluster"),
    ("envoy.config.trace.v3.LightstepConfig", "collector_cluster"),
    ("envoy.config.trace.v3.ZipkinConfig", "collector_cluster"),
    ("envoy.data.dns.v3.DnsTable.DnsEndpoint", "cluster_name"),
    ("envoy.data.dns.v3.DnsTable.DnsServiceTarget", "cluster_name"),
    ("envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig", "cluster"),
    ("envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters"),
    ("envoy.extensions.clusters.mcp_multicluster.v3.ClusterConfig.McpCluster", "cluster"),
    ("envoy.extensions.filters.http.cache_v2.v3.CacheV2Config", "override_upstream_cluster"),
    ("envoy.extensions.filters.http.fault.v3.HTTPFault", "upstream_cluster"),
    ("envoy.extensions.filters.http.gcp_authn.v3.GcpAuthnFilterConfig", "cluster"),
    ("envoy.extensions.filters.http.mcp_router.v3.McpRouter.McpCluster", "cluster"),
    ("envoy.extensions.filters.network.dubbo_proxy.v3.RouteAction", "cluster"),
    ("envoy.extensions.filters.network.generic_proxy.action.v3.RouteAction", "cluster"),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes.Route", "cluster"),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes.Route.ReadCommandPolicy", "cluster"),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes.Route.RequestMirrorPolicy", "cluster"),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster"),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight", "name"),
    ("envoy.extensions.filters.network.thrift_proxy.v3.RouteAction", "cluster"),
    ("envoy.extensions.filters.network.thrift_proxy.v3.RouteAction.RequestMirrorPolicy", "cluster"),
    ("envoy.extensions.filters.network.thrift_proxy.v3.WeightedCluster.ClusterWeight", "name"),
    ("envoy.extensions.filters.udp.udp_proxy.v3.Route", "cluster"),
    ("envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig", "cluster"),
    ("envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig", "default_cluster"),
    ("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction", "cluster"),
    ("envoy.extensions.router.cluster_specifiers.priority_group.v3.ClusterWeight", "cluster_name"),
    ("envoy.extensions.tracers.fluentd.v3.FluentdConfig", "cluster"),
];

/// String fields with `cluster` in their name that name none.
#[cfg(test)]
pub(crate) const NO_CLUSTERS: &[(&str, &str)] = &[
    // Stands in no resource.
    ("envoy.config.bootstrap.v3.ClusterManager", "local_cluster_name"),
    // The name of a group of Envoys.
    ("envoy.config.core.v3.Node", "cluster"),
    // A definition, see DEFAULT.
    ("envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name"),
    // A report of Envoy.
    ("envoy.config.endpoint.v3.ClusterStats", "cluster_name"),
    // A report of Envoy.
    ("envoy.config.endpoint.v3.ClusterStats", "cluster_service_name"),
    // Stands in no resource.
    ("envoy.config.metrics.v3.StatsdSink", "tcp_cluster_name"),
    // The name of a header.
    ("envoy.config.route.v3.RouteAction", "cluster_header"),
    // The name of a plugin in the same resource.
    ("envoy.config.route.v3.RouteAction", "cluster_specifier_plugin"),
    // The name of a header.
    ("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", "cluster_header"),
    // The name of a header.
    ("envoy.config.route.v3.WeightedCluster.ClusterWeight", "cluster_header"),
    // A report of Envoy.
    ("envoy.data.accesslog.v3.AccessLogCommon", "upstream_cluster"),
    // A name inside a module.
    ("envoy.extensions.clusters.dynamic_modules.v3.ClusterConfig", "cluster_name"),
    // Node.cluster of the peer.
    ("envoy.extensions.filters.network.reverse_tunnel.v3.ReverseTunnel", "required_cluster_name"),
    // Node.cluster of the peer.
    ("envoy.extensions.filters.network.reverse_tunnel.v3.Validation", "cluster_id_format"),
    // The name of a header.
    ("envoy.extensions.filters.network.thrift_proxy.v3.RouteAction", "cluster_header"),
];

/// The fields of `message` that name clusters.
pub(crate) fn cluster_fields(message: &str) -> impl Iterator<Item = &'static str> {
    let of_message = move |(name, field): &(&str, &'static str)| (*name == message).then_some(*field);
    CLUSTERS.iter().filter_map(of_message)
}

/// The fields of `message` that name secrets.
pub(crate) fn secret_fields(message: &str) -> impl Iterator<Item = &'static str> {
    SECRETS.iter().filter_map(move |(name, field)| (*name == message).then_some(*field))
}

/// Whether a Cluster's type is EDS (number 3 of `DiscoveryType`).
pub(crate) fn is_eds(cluster: &DynamicMessage) -> bool {
    encode::get(cluster, "type").and_then(Value::as_enum_number) == Some(3)
}
