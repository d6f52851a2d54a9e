//! The messages of delta discovery, written by hand.
//!
//! Field numbers are those of `envoy/service/discovery/v3/discovery.proto`, `envoy/config/core/v3/base.proto`,
//! `envoy/type/v3/semantic_version.proto` and `google/rpc/status.proto`. Fields that we neither read nor write are left out: prost skips them. Bodies are
//! [`Bytes`], so that one encoded resource is shared by the store and every stream.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What a client sends: subscriptions, and an answer (ACK or NACK) to one earlier response.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryRequest {
    /// Who asks. Only the first request of a stream needs it.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// The resource type that this request is about.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names to add to the subscription; `*` is everything.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names to take out of the subscription.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// What the client holds, name to version. Only in the first request of a type on a stream.
    #[prost(btree_map = "string, string", tag = "5")]
    pub initial_resource_versions: BTreeMap<String, String>,
    /// The response that this request answers; empty when it answers none.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Set in a NACK.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

/// What a server sends: resources to take over and names to drop, all of one type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryResponse {
    /// The resources, new or changed.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<DiscoveredResource>,
    /// Their type.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// To be repeated in the answer.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names that are gone, or were asked for and do not exist.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
}

/// One resource in a response (`envoy.service.discovery.v3.Resource`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiscoveredResource {
    /// Opaque to the client.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The resource itself.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `google.protobuf.Any`, with a body that is cheap to share.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// The type of `value`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// Who opens a stream (`envoy.config.core.v3.Node`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// The node's name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The cluster that the node says it belongs to.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// The program, `envoy` for one.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
    /// The program's version, if it tells it in numbers.
    #[prost(message, optional, tag = "8")]
    pub user_agent_build_version: Option<BuildVersion>,
    /// What the client can do beyond the protocol, in names of the form `com.acme.feature`.
    #[prost(string, repeated, tag = "10")]
    pub client_features: Vec<String>,
}

/// `envoy.config.core.v3.BuildVersion`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildVersion {
    /// The version.
    #[prost(message, optional, tag = "1")]
    pub version: Option<SemanticVersion>,
}

/// `envoy.type.v3.SemanticVersion`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SemanticVersion {
    /// The first number.
    #[prost(uint32, tag = "1")]
    pub major_number: u32,
    /// The second number.
    #[prost(uint32, tag = "2")]
    pub minor_number: u32,
    /// The third number.
    #[prost(uint32, tag = "3")]
    pub patch: u32,
}

/// `google.rpc.Status`, the reason in a NACK.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A gRPC code; Envoy uses 13, internal.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The reason in words.
    #[prost(string, tag = "2")]
    pub message: String,
}
