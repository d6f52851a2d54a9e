//! The endpoints of a cluster. They change more than anything else, so they take no detour through reflection.

use std::{collections::BTreeSet, net::SocketAddr};

use bytes::Bytes;
use prost::Message as _;

/// Type URL of what [`assignment`] makes.
pub const TYPE_URL: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// The bytes of a `ClusterLoadAssignment` for the EDS name `cluster`, all endpoints in one locality.
///
/// No endpoint gives an assignment without any, which makes Envoy answer 503 at once. Taking the resource away would not:
/// Envoy keeps the endpoints that it had. Costs O(endpoints).
#[must_use]
pub fn assignment(cluster: &str, endpoints: &BTreeSet<SocketAddr>) -> Bytes {
    let lb_endpoints = endpoints.iter().map(|&address| message::LbEndpoint::of(address)).collect::<Vec<_>>();
    let locality = message::LocalityLbEndpoints { lb_endpoints };
    let endpoints = if endpoints.is_empty() { Vec::new() } else { vec![locality] };
    message::ClusterLoadAssignment { cluster_name: cluster.to_owned(), endpoints }.encode_to_vec().into()
}

/// The few fields of `envoy.config.endpoint.v3` and `envoy.config.core.v3` that are needed.
mod message {
    use std::net::SocketAddr;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ClusterLoadAssignment {
        #[prost(string, tag = "1")]
        pub(super) cluster_name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) endpoints: Vec<LocalityLbEndpoints>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LocalityLbEndpoints {
        #[prost(message, repeated, tag = "2")]
        pub(super) lb_endpoints: Vec<LbEndpoint>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LbEndpoint {
        #[prost(message, optional, tag = "1")]
        endpoint: Option<Endpoint>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Endpoint {
        #[prost(message, optional, tag = "1")]
        address: Option<Address>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Address {
        #[prost(message, optional, tag = "1")]
        socket_address: Option<SocketAddress>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct SocketAddress {
        #[prost(string, tag = "2")]
        address: String,
        #[prost(uint32, tag = "3")]
        port_value: u32,
    }

    impl LbEndpoint {
        pub(super) fn of(address: SocketAddr) -> Self {
            let socket = SocketAddress { address: address.ip().to_string(), port_value: u32::from(address.port()) };
            Self { endpoint: Some(Endpoint { address: Some(Address { socket_address: Some(socket) }) }) }
        }
    }
}
