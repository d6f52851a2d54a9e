//! Ingresses at the one address of shared mode as Envoy resources.
//!
//! A host is a piece of a route table, encoded once; a table is its pieces put together. There is one listener, whose routes
//! and clusters come and go without it. Clusters are named by backend, so all Ingresses that name one share it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axoneme_api::names;
use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_xds::{Key, Resource, type_urls::SCOPED_ROUTE};
use bytes::Bytes;
use serde_json::Value;

use super::ingress::cluster;
use super::{EndpointsName, Output, problem, redirects, secrets};
use crate::index::Index;
use crate::intents::Intent;
use crate::model::{Backend, IngressDefaults, Speaks};
use crate::problem::Problem;
use crate::source::{Kind, Name, ObjectKey, Service};

mod hosts;
mod listener;
mod passthrough;
mod sharded;
mod table;

pub use hosts::{Form, piece, shard};
pub use listener::{Routing, chain, listener, listener_head};
pub use passthrough::{target_cluster, target_endpoints};
pub use sharded::{scope, shard_head};
pub use table::pattern_head;

/// Ports of the Service that the listener serves.
const PORTS: [u16; 2] = [80, 443];

/// The name under which everything of shared mode stands: that of its Service. And that of its listener, which may be a port's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String, String);

impl Origin {
    /// The origin of what stands behind the shared Service.
    #[must_use]
    pub fn of(defaults: &IngressDefaults) -> Self {
        let name = defaults.shared_service.to_string();
        let listener = match &defaults.host_network {
            None => format!("{name}/listener"),
            Some(network) => names::host_listener(network.shared_port),
        };
        Self(name, listener)
    }

    fn listener(&self) -> &str {
        &self.1
    }

    /// The listener, as nodes are told of it.
    #[must_use]
    pub fn listener_key(&self) -> Key {
        (ResourceKind::Listener.type_url().into(), self.listener().into())
    }

    /// The table of all hosts, likewise.
    #[must_use]
    pub fn table_key(&self) -> Key {
        (ResourceKind::Route.type_url().into(), self.table().into())
    }

    /// The name of the table of all hosts, for an Envoy that cannot have shards.
    #[must_use]
    pub fn table(&self) -> String {
        format!("{}/routes", self.0)
    }

    /// The table of some hosts.
    #[must_use]
    pub fn shard(&self, shard: u32) -> String {
        format!("{}/shard-{shard}", self.0)
    }

    fn secret(&self, name: &Name) -> String {
        format!("{}/{}:{}", self.0, name.namespace, name.name)
    }

    /// What nodes are told of a Secret.
    #[must_use]
    pub fn secret_key(&self, name: &Name) -> Key {
        (ResourceKind::Secret.type_url().into(), self.secret(name).into())
    }

    /// What nodes are told of a shard: the table and its scope.
    pub fn shard_keys(&self, shard: u32) -> [Key; 2] {
        [ResourceKind::Route.type_url(), SCOPED_ROUTE].map(|type_url| (type_url.into(), self.shard(shard).into()))
    }

    fn cluster(&self, backend: &Backend, http2: bool) -> String {
        let suffix = if http2 { ":h2" } else { "" };
        format!("{}/{}:{}:{}{suffix}", self.0, backend.service.namespace, backend.service.name, backend.port)
    }

    /// The names of a backend's clusters: two where it may be asked in two ways.
    pub fn clusters(&self, backend: &Backend) -> impl Iterator<Item = Key> {
        let name = |http2: &bool| (ResourceKind::Cluster.type_url().into(), self.cluster(backend, *http2).into());
        versions(backend).iter().map(name)
    }
}

/// Whether a backend is asked by HTTP/2.
fn versions(backend: &Backend) -> &'static [bool] {
    match backend.speaks {
        Speaks::Unknown => &[false, true],
        Speaks::Http1 => &[false],
        Speaks::Http2 => &[true],
    }
}

/// The assignment that a backend's clusters take their endpoints from.
#[must_use]
pub fn endpoints(backend: &Backend) -> EndpointsName {
    let name = format!("{}/{}:{}", backend.service.namespace, backend.service.name, backend.port);
    EndpointsName { service: backend.service.clone(), name: name.into() }
}

/// The clusters of a backend.
///
/// # Errors
/// What Envoy would refuse.
pub fn clusters(origin: &Origin, backend: &Backend) -> Result<Vec<Intent>, Vec<Problem>> {
    let endpoints = endpoints(backend).name;
    let version = |http2: &bool| {
        let json = cluster::json(&origin.cluster(backend, *http2), &endpoints, *http2, backend.keeps_clients);
        Ok(intent(&decode(&json)?, Some(Arc::clone(&endpoints))))
    };
    versions(backend).iter().map(version).collect()
}

/// The certificate out of a Secret, as far as there is a good one.
#[must_use]
pub fn secret(origin: &Origin, name: &Name, index: &Index) -> Option<Intent> {
    let mut output = Output::default();
    secrets::put_in_force(&origin.secret(name), name, index, &mut output);
    output.resources.into_values().next()
}

/// The redirects of the Service's addresses to the listener, by name.
#[must_use]
pub fn redirects(
    origin: &Origin,
    service: Option<&Service>,
    name: &Name,
    is_proxied: bool,
) -> BTreeMap<Key, Option<Intent>> {
    let owner = ObjectKey { kind: Kind::Service, name: name.clone() };
    let redirect = |port: u16| {
        let found = service.and_then(|service| Some((service, service.port(port)?)));
        let intent =
            found.and_then(|(service, port)| redirects::redirect(service, port, origin.listener(), &owner, is_proxied));
        let name = names::redirect(&name.namespace, &name.name, port);
        ((axoneme_api::intent::REDIRECT.into(), name.into()), intent)
    };
    PORTS.into_iter().map(redirect).collect()
}

/// A table of these hosts. Costs their bytes.
#[must_use]
pub fn routes<'a>(name: &str, head: &'a Bytes, pieces: impl Iterator<Item = &'a Bytes>) -> Intent {
    let body = table::table(name, head, pieces);
    Intent { resource: Resource::new(ResourceKind::Route.type_url(), name, body), awaited: true, endpoints: None }
}

fn intent(resource: &EnvoyResource, endpoints: Option<Arc<str>>) -> Intent {
    let resource = Resource::new(resource.kind().type_url(), resource.name(), resource.encode());
    Intent { resource, awaited: true, endpoints }
}

/// What we write ourselves is checked like what users write.
fn decode(json: &Value) -> Result<EnvoyResource, Vec<Problem>> {
    axoneme_envoy::decode(json, "").map_err(|problems| problems.iter().map(problem).collect())
}

#[cfg(test)]
mod tests;
