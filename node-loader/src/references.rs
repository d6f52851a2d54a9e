//! What a cluster or a listener cannot do without: its assignment, its routes, its secrets.
//!
//! Read through partial messages; what is not listed is skipped. Field numbers are those of Envoy's v3 protos.

use std::{collections::BTreeSet, sync::Arc};

use axoneme_xds::{Key, type_urls};
use prost::{DecodeError, Message};
use prost_types::Any;

const CONNECTION_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// What a resource refers to by name, and Envoy will ask for. Other types than clusters and listeners: nothing.
///
/// # Errors
/// Bytes that are not of the type.
pub fn references(type_url: &str, body: &[u8]) -> Result<BTreeSet<Key>, DecodeError> {
    match type_url {
        type_urls::CLUSTER => cluster(body),
        type_urls::LISTENER => listener(body),
        _ => Ok(BTreeSet::new()),
    }
}

/// The name of a cluster's assignment, if it has one of its own.
#[must_use]
pub fn assignment(cluster: &[u8]) -> Option<Key> {
    let cluster = Cluster::decode(cluster).ok().filter(|cluster| cluster.kind == EDS)?;
    let service_name = cluster.eds.map(|eds| eds.service_name).filter(|name| !name.is_empty());
    Some((type_urls::ENDPOINTS.into(), service_name.unwrap_or(cluster.name).into()))
}

fn cluster(body: &[u8]) -> Result<BTreeSet<Key>, DecodeError> {
    let socket = Cluster::decode(body)?.transport_socket;
    Ok(assignment(body).into_iter().chain(secrets(socket)).collect())
}

fn listener(body: &[u8]) -> Result<BTreeSet<Key>, DecodeError> {
    let listener = Listener::decode(body)?;
    let mut found = BTreeSet::new();
    for chain in listener.filter_chains.into_iter().chain(listener.default_filter_chain) {
        found.extend(secrets(chain.transport_socket));
        for config in chain.filters.into_iter().filter_map(|filter| filter.typed_config) {
            if config.type_url.ends_with(CONNECTION_MANAGER) {
                let rds = ConnectionManager::decode(config.value.as_slice())?.rds;
                found.extend(rds.map(|rds| key(type_urls::ROUTE, rds.name)));
            }
        }
    }
    Ok(found)
}

/// The secrets of a TLS socket. Another kind of socket has none; the two kinds of TLS context agree in what is read.
fn secrets(socket: Option<TransportSocket>) -> Vec<Key> {
    let config = socket.and_then(|socket| socket.typed_config);
    let config = config.filter(|config| config.type_url.ends_with("TlsContext"));
    let context = config.and_then(|config| TlsContext::decode(config.value.as_slice()).ok());
    let Some(common) = context.and_then(|context| context.common) else { return Vec::new() };
    let combined = common.combined_validation.and_then(|combined| combined.secret);
    let all = common.certificates.into_iter().chain(common.validation).chain(combined);
    all.map(|secret| key(type_urls::SECRET, secret.name)).collect()
}

fn key(type_url: &str, name: String) -> Key {
    (type_url.into(), Arc::from(name))
}

/// `Cluster.DiscoveryType.EDS`.
const EDS: i32 = 3;

#[derive(Clone, PartialEq, Message)]
struct Cluster {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(message, optional, tag = "3")]
    eds: Option<EdsClusterConfig>,
    #[prost(message, optional, tag = "24")]
    transport_socket: Option<TransportSocket>,
}

#[derive(Clone, PartialEq, Message)]
struct EdsClusterConfig {
    #[prost(string, tag = "2")]
    service_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Listener {
    #[prost(message, repeated, tag = "3")]
    filter_chains: Vec<FilterChain>,
    #[prost(message, optional, tag = "25")]
    default_filter_chain: Option<FilterChain>,
}

#[derive(Clone, PartialEq, Message)]
struct FilterChain {
    #[prost(message, repeated, tag = "3")]
    filters: Vec<Filter>,
    #[prost(message, optional, tag = "6")]
    transport_socket: Option<TransportSocket>,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(message, optional, tag = "4")]
    typed_config: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct ConnectionManager {
    #[prost(message, optional, tag = "3")]
    rds: Option<Rds>,
}

#[derive(Clone, PartialEq, Message)]
struct Rds {
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct TransportSocket {
    #[prost(message, optional, tag = "3")]
    typed_config: Option<Any>,
}

/// Upstream or downstream.
#[derive(Clone, PartialEq, Message)]
struct TlsContext {
    #[prost(message, optional, tag = "1")]
    common: Option<CommonTlsContext>,
}

#[derive(Clone, PartialEq, Message)]
struct CommonTlsContext {
    #[prost(message, repeated, tag = "6")]
    certificates: Vec<SecretConfig>,
    #[prost(message, optional, tag = "7")]
    validation: Option<SecretConfig>,
    #[prost(message, optional, tag = "8")]
    combined_validation: Option<CombinedValidation>,
}

#[derive(Clone, PartialEq, Message)]
struct CombinedValidation {
    #[prost(message, optional, tag = "2")]
    secret: Option<SecretConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct SecretConfig {
    #[prost(string, tag = "1")]
    name: String,
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! Encoded resources with references, for tests.

    use super::*;

    /// Names somewhere in a resource.
    #[derive(Clone, PartialEq, Message)]
    struct Mentions {
        #[prost(string, repeated, tag = "100")]
        names: Vec<String>,
    }

    /// An EDS cluster.
    pub(crate) fn cluster(name: &str, service_name: &str) -> Vec<u8> {
        let eds = Some(EdsClusterConfig { service_name: service_name.to_owned() });
        Cluster { name: name.to_owned(), kind: EDS, eds, transport_socket: None }.encode_to_vec()
    }

    /// A route configuration that leads to clusters, by the shape alone.
    pub(crate) fn route(clusters: &[&str]) -> Vec<u8> {
        Mentions { names: clusters.iter().map(ToString::to_string).collect() }.encode_to_vec()
    }

    /// A listener with routes by RDS, TLS by SDS, and a number that makes versions differ.
    pub(crate) fn listener(routes: &[&str], secrets: &[&str]) -> Vec<u8> {
        let rds = |name: &&str| {
            let manager = ConnectionManager { rds: Some(Rds { name: (*name).to_owned() }) };
            let type_url = format!("type.googleapis.com/{CONNECTION_MANAGER}");
            Filter { typed_config: Some(Any { type_url, value: manager.encode_to_vec() }) }
        };
        let certificates = secrets.iter().map(|name| SecretConfig { name: (*name).to_owned() }).collect();
        let common = CommonTlsContext { certificates, ..CommonTlsContext::default() };
        let tls = Any {
            type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext".to_owned(),
            value: TlsContext { common: Some(common) }.encode_to_vec(),
        };
        let chain = FilterChain {
            filters: routes.iter().map(rds).collect(),
            transport_socket: (!secrets.is_empty()).then_some(TransportSocket { typed_config: Some(tls) }),
        };
        Listener { filter_chains: vec![chain], default_filter_chain: None }.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_refers_to_its_assignment() {
        let found = references(type_urls::CLUSTER, &fixtures::cluster("a", "ns/svc:80")).unwrap();
        assert_eq!(found, BTreeSet::from([key(type_urls::ENDPOINTS, "ns/svc:80".to_owned())]));
        let same = references(type_urls::CLUSTER, &fixtures::cluster("a", "")).unwrap();
        assert_eq!(same, BTreeSet::from([key(type_urls::ENDPOINTS, "a".to_owned())]));
    }

    #[test]
    fn a_listener_refers_to_routes_and_secrets() {
        let found = references(type_urls::LISTENER, &fixtures::listener(&["r"], &["s"])).unwrap();
        assert_eq!(
            found,
            BTreeSet::from([key(type_urls::ROUTE, "r".to_owned()), key(type_urls::SECRET, "s".to_owned())])
        );
    }

    #[test]
    fn other_bytes_are_an_error() {
        assert!(references(type_urls::LISTENER, &[0x1a, 0xff]).is_err());
        assert_eq!(assignment(&[0xff]), None);
    }
}
