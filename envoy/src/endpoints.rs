//! The endpoints of a cluster. They change more than anything else, so they take no detour through reflection.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use prost::Message as _;

mod message;

use message::{ClusterLoadAssignment, LbEndpoint, Locality, LocalityLbEndpoints};

/// Type URL of what [`assignment`] makes.
pub const TYPE_URL: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// What answers: a pod, or what stands in for one. However many addresses it has, to Envoy it is one host, with one share
/// of the requests, one health and one place in outlier detection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Its zone, empty when unknown. First, because backends stand in the order of their zones.
    pub zone: Arc<str>,
    /// Where it is dialled first.
    pub address: SocketAddr,
    /// Its further addresses. Envoy begins with the next one after 300 ms, and the first connection wins (RFC 8305).
    pub more: Vec<SocketAddr>,
    /// The node that it runs on, empty when unknown.
    pub node: Arc<str>,
}

/// The bytes of a `ClusterLoadAssignment` for the EDS name `cluster`.
///
/// Zones are Envoy's localities. As long as a cluster asks for nothing else, Envoy spreads requests over all backends
/// alike, wherever they are. With `locality_weighted_lb_config` a zone gets what its weight says, which is the number of its
/// backends: even again, until a zone loses some. One zone alone needs no weight. An unknown zone among known ones stands
/// there as an empty locality: without one Envoy would not read its weight, and send it nothing.
///
/// The node is metadata (`envoy.lb`, `node`), for access logs and subsets. As `sub_zone` it would make every node a locality
/// of its own, and part what belongs together in a zone.
///
/// No backend gives an assignment without any, which makes Envoy answer 503 at once. Taking the resource away would not:
/// Envoy keeps the endpoints that it had. Costs O(backends).
#[must_use]
pub fn assignment(cluster: &str, backends: &BTreeSet<Backend>) -> Bytes {
    let sorted: Vec<&Backend> = backends.iter().collect();
    let zones: Vec<&[&Backend]> = sorted.chunk_by(|one, other| one.zone == other.zone).collect();
    let several = zones.len() > 1;
    let locality = |backends: &&[&Backend]| {
        let zone = backends.first().map_or("", |backend| &*backend.zone);
        LocalityLbEndpoints {
            locality: (several || !zone.is_empty()).then(|| Locality { zone: zone.to_owned() }),
            lb_endpoints: backends.iter().map(|backend| LbEndpoint::of(backend)).collect(),
            load_balancing_weight: several.then(|| u32::try_from(backends.len()).unwrap_or(u32::MAX)),
        }
    };
    let endpoints = zones.iter().map(locality).collect();
    ClusterLoadAssignment { cluster_name: cluster.to_owned(), endpoints }.encode_to_vec().into()
}
