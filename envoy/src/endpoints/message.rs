//! The few fields of `envoy.config.endpoint.v3` and `envoy.config.core.v3` that an assignment needs.

use std::{collections::BTreeMap, net::SocketAddr};

/// What subset load balancing and `%UPSTREAM_METADATA(envoy.lb:node)%` of access logs read.
const METADATA: (&str, &str) = ("envoy.lb", "node");

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClusterLoadAssignment {
    #[prost(string, tag = "1")]
    pub(super) cluster_name: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) endpoints: Vec<LocalityLbEndpoints>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LocalityLbEndpoints {
    #[prost(message, optional, tag = "1")]
    pub(super) locality: Option<Locality>,
    #[prost(message, repeated, tag = "2")]
    pub(super) lb_endpoints: Vec<LbEndpoint>,
    /// A `UInt32Value`.
    #[prost(message, optional, tag = "3")]
    pub(super) load_balancing_weight: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Locality {
    #[prost(string, tag = "2")]
    pub(super) zone: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LbEndpoint {
    #[prost(message, optional, tag = "1")]
    endpoint: Option<Endpoint>,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Endpoint {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
    #[prost(message, repeated, tag = "4")]
    additional_addresses: Vec<AdditionalAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AdditionalAddress {
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

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    filter_metadata: BTreeMap<String, Struct>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Text>,
}

/// A `google.protobuf.Value` that is a string, and not empty.
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "3")]
    string_value: String,
}

impl LbEndpoint {
    pub(super) fn of(backend: &super::Backend) -> Self {
        let more = backend.more.iter().map(|&address| AdditionalAddress { address: Some(Address::of(address)) });
        let endpoint = Endpoint { address: Some(Address::of(backend.address)), additional_addresses: more.collect() };
        let metadata = (!backend.node.is_empty()).then(|| Metadata::of(&backend.node));
        Self { endpoint: Some(endpoint), metadata }
    }
}

impl Address {
    fn of(address: SocketAddr) -> Self {
        let socket = SocketAddress { address: address.ip().to_string(), port_value: u32::from(address.port()) };
        Self { socket_address: Some(socket) }
    }
}

impl Metadata {
    fn of(node: &str) -> Self {
        let (filter, key) = METADATA;
        let fields = BTreeMap::from([(key.to_owned(), Text { string_value: node.to_owned() })]);
        Self { filter_metadata: BTreeMap::from([(filter.to_owned(), Struct { fields })]) }
    }
}
