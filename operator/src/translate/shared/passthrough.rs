//! Where the connections of names go that are passed through.

use std::sync::Arc;

use axoneme_envoy::ResourceKind;
use axoneme_xds::Key;

use super::{Origin, decode, intent};
use crate::intents::Intent;
use crate::model::Target;
use crate::problem::Problem;
use crate::translate::EndpointsName;
use crate::translate::ingress::cluster;

impl Origin {
    pub(super) fn target(&self, target: &Target) -> String {
        format!("{}/{}:{}:{}:tcp", self.0, target.service.namespace, target.service.name, target.port)
    }

    /// What nodes are told of a target.
    #[must_use]
    pub fn target_key(&self, target: &Target) -> Key {
        (ResourceKind::Cluster.type_url().into(), self.target(target).into())
    }
}

/// The assignment that a target's cluster takes its endpoints from.
#[must_use]
pub fn target_endpoints(target: &Target) -> EndpointsName {
    let name = format!("{}/{}:{}", target.service.namespace, target.service.name, target.port);
    EndpointsName { service: target.service.clone(), name: name.into() }
}

/// The cluster of a target.
///
/// # Errors
/// What Envoy would refuse.
pub fn target_cluster(origin: &Origin, target: &Target) -> Result<Intent, Vec<Problem>> {
    let endpoints = target_endpoints(target).name;
    let json = cluster::tcp(&origin.target(target), &endpoints, target.keeps_clients);
    Ok(intent(&decode(&json)?, Some(Arc::clone(&endpoints))))
}
