//! Just enough of Envoy's messages to write a proxy that answers.
//!
//! Field numbers are those of Envoy's v3 protos; what is not needed here is left out.

use axoneme_xds::Resource;
use axoneme_xds::proto::Any;
use axoneme_xds::type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Cluster {
    #[prost(string, tag = "1")]
    name: String,
    /// 3 is EDS.
    #[prost(int32, tag = "2")]
    discovery: i32,
    #[prost(message, optional, tag = "3")]
    eds: Option<EdsClusterConfig>,
    #[prost(message, optional, tag = "4")]
    connect_timeout: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
struct EdsClusterConfig {
    #[prost(message, optional, tag = "1")]
    source: Option<ConfigSource>,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigSource {
    #[prost(message, optional, tag = "3")]
    ads: Option<Empty>,
    /// 2 is v3.
    #[prost(int32, tag = "6")]
    resource_api_version: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// An empty assignment and an empty route configuration look the same: a name.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Listener {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    address: Option<Address>,
    #[prost(message, repeated, tag = "3")]
    filter_chains: Vec<FilterChain>,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "2")]
    pipe: Option<Pipe>,
}

#[derive(Clone, PartialEq, Message)]
struct Pipe {
    #[prost(string, tag = "1")]
    path: String,
}

#[derive(Clone, PartialEq, Message)]
struct FilterChain {
    #[prost(message, repeated, tag = "3")]
    filters: Vec<Filter>,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "4")]
    config: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpConnectionManager {
    #[prost(string, tag = "2")]
    stat_prefix: String,
    #[prost(message, optional, tag = "3")]
    rds: Option<Rds>,
    #[prost(message, repeated, tag = "5")]
    filters: Vec<Filter>,
}

#[derive(Clone, PartialEq, Message)]
struct Rds {
    #[prost(message, optional, tag = "1")]
    source: Option<ConfigSource>,
    #[prost(string, tag = "2")]
    name: String,
}

fn ads() -> Option<ConfigSource> {
    Some(ConfigSource { ads: Some(Empty {}), resource_api_version: 2 })
}

fn filter(name: &str, type_name: &str, config: &impl Message) -> Filter {
    let type_url = format!("type.googleapis.com/envoy.extensions.filters.{type_name}");
    Filter { name: name.to_owned(), config: Some(Any { type_url, value: config.encode_to_vec().into() }) }
}

/// A cluster whose endpoints come by EDS.
pub(crate) fn cluster(name: &str, connect_timeout_seconds: i64) -> Resource {
    let cluster = Cluster {
        name: name.to_owned(),
        discovery: 3,
        eds: Some(EdsClusterConfig { source: ads() }),
        connect_timeout: Some(Duration { seconds: connect_timeout_seconds }),
    };
    Resource::new(CLUSTER, name, cluster.encode_to_vec())
}

/// The endpoints of a cluster: none.
pub(crate) fn endpoints(name: &str) -> Resource {
    Resource::new(ENDPOINTS, name, Named { name: name.to_owned() }.encode_to_vec())
}

/// A route configuration that knows no host.
pub(crate) fn route(name: &str) -> Resource {
    Resource::new(ROUTE, name, Named { name: name.to_owned() }.encode_to_vec())
}

/// An HTTP listener on a Unix socket whose routes come by RDS.
pub(crate) fn listener(name: &str, path: &str, route: &str) -> Resource {
    let manager = HttpConnectionManager {
        stat_prefix: "test".to_owned(),
        rds: Some(Rds { source: ads(), name: route.to_owned() }),
        filters: vec![filter("router", "http.router.v3.Router", &Empty {})],
    };
    let manager = filter("http", "network.http_connection_manager.v3.HttpConnectionManager", &manager);
    let listener = Listener {
        name: name.to_owned(),
        address: Some(Address { pipe: Some(Pipe { path: path.to_owned() }) }),
        filter_chains: vec![FilterChain { filters: vec![manager] }],
    };
    Resource::new(LISTENER, name, listener.encode_to_vec())
}
