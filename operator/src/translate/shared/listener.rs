//! The listener of shared mode: a chain for plain requests, one for each name with a certificate (ADR 26, 34), and one for each
//! name that is passed through (ADR 35).
//!
//! Each chain is encoded once, alone; the listener is its chains put together, as tables are their hosts. So a name more or less
//! costs one chain, and a copy of the bytes of all.

use std::collections::BTreeMap;

use axoneme_envoy::{ResourceKind, decode_own};
use axoneme_xds::Resource;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Origin, sharded, table};
use crate::intents::Intent;
use crate::model::options::Exposure;
use crate::model::{Connection, Host, HttpModel, IngressDefaults};
use crate::problem::Problem;
use crate::shared::{Handshake, Passage};
use crate::source::Name;
use crate::translate::ingress::{listener, passthrough};
use crate::translate::{gate, problem};

/// How the chains of HTTP find the routes of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// In the one table.
    Table,
    /// In shards, by our module.
    Shards,
}

/// The chain of a name as a piece of the listener, encoded.
///
/// # Errors
/// What Envoy would refuse.
pub fn chain(
    origin: &Origin,
    defaults: &IngressDefaults,
    routing: Routing,
    host: &Host,
    handshake: &Handshake,
) -> Result<Bytes, Vec<Problem>> {
    let chain = match handshake {
        Handshake::Certificate(secret) => {
            let certificates = BTreeMap::from([(host.clone(), secret.clone())]);
            http(origin, defaults, routing, certificates)["filter_chains"][1].take()
        }
        Handshake::Passed(passage) => passed(origin, host, passage),
    };
    let json = json!({ "@type": ResourceKind::Listener.type_url(), "name": table::PIECE, "filter_chains": [chain] });
    encode(&json)
}

/// Everything else of the listener, with the chain for plain requests.
///
/// # Errors
/// What Envoy would refuse.
pub fn listener_head(origin: &Origin, defaults: &IngressDefaults, routing: Routing) -> Result<Bytes, Vec<Problem>> {
    let mut json = http(origin, defaults, routing, BTreeMap::new());
    json["name"] = table::PIECE.into();
    encode(&json)
}

/// The listener with these chains. Costs their bytes.
#[must_use]
pub fn listener<'a>(origin: &Origin, head: &'a Bytes, chains: impl Iterator<Item = &'a Bytes>) -> Intent {
    let body = table::named(origin.listener(), std::iter::once(head).chain(chains));
    let resource = Resource::new(ResourceKind::Listener.type_url(), origin.listener(), body);
    Intent { resource, awaited: true, endpoints: None }
}

/// What we write ourselves is checked like what users write. Scopes are ours to ask for.
fn encode(json: &Value) -> Result<Bytes, Vec<Problem>> {
    let resource = decode_own(json, "").map_err(|problems| problems.iter().map(problem).collect::<Vec<_>>())?;
    Ok(table::without_name(resource.encode()))
}

/// A listener with chains of HTTP: the one for plain requests, then one for each certificate.
fn http(origin: &Origin, defaults: &IngressDefaults, routing: Routing, certificates: BTreeMap<Host, Name>) -> Value {
    let connection = Connection {
        idle: defaults.stream_idle_timeout,
        proxy_protocol: defaults.proxy_protocol,
        forwarded_as_is: !defaults.use_remote_address,
        trusted_hops: defaults.trusted_hops,
        ..Connection::default()
    };
    let exposure = defaults.host_network.as_ref().map_or(Exposure::Service, |it| Exposure::HostPort(it.shared_port));
    let model = HttpModel { connection, exposure, certificates, ..HttpModel::default() };
    let secret = |name: &Name| origin.secret(name);
    let mut json = listener::json(origin.listener(), &model, |_| origin.table(), secret, |_| String::new());
    for chain in json["filter_chains"].as_array_mut().into_iter().flatten() {
        let manager = &mut chain["filters"][0]["typed_config"];
        if let Some(filters) = manager["http_filters"].as_array_mut() {
            filters.insert(0, gate::requests());
        }
        if routing == Routing::Shards {
            sharded::by_shard(manager);
        }
    }
    json
}

fn passed(origin: &Origin, host: &Host, passage: &Passage) -> Value {
    let cluster = passage.target.as_ref().map(|target| origin.target(target));
    passthrough::chain(host, passage.sources.as_ref().map(gate::connections), cluster.as_deref())
}
