//! From objects to what nodes are told. Pure: the same objects give the same bytes, in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_xds::{Key, Resource};

use crate::intents::Intent;
use crate::problem::{Problem, Reason};
use crate::source::Name;

mod affinity;
pub mod config;
pub mod endpoints;
mod gate;
pub mod ingress;
mod redirects;
mod routes;
mod secrets;
pub mod shared;

/// Everything that one Ingress or Envoy config amounts to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// What nodes get.
    pub resources: BTreeMap<Key, Intent>,
    /// Endpoints that its clusters want, as EDS names.
    pub endpoints: BTreeSet<EndpointsName>,
    /// Secrets of Kubernetes that it names, there or not.
    pub secrets: BTreeSet<Name>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// The name of an assignment that endpoints of a Service fill: `ns/svc`, `ns/svc:*` or `ns/svc:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointsName {
    /// Whose endpoints.
    pub service: Name,
    /// The name in full.
    pub name: Arc<str>,
}

impl EndpointsName {
    /// Understands the name of an assignment. `None` when it cannot mean a Service.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (namespace, rest) = name.split_once('/')?;
        let service = rest.split_once(':').map_or(rest, |(service, _)| service);
        let plain = |part: &str| !part.is_empty() && !part.contains('/');
        (plain(namespace) && plain(service)).then(|| Self { service: Name::new(namespace, service), name: name.into() })
    }

    /// The port as written, `None` for all.
    #[must_use]
    pub fn port(&self) -> Option<&str> {
        let (_, port) = self.name.split_once(':')?;
        (port != "*").then_some(port)
    }
}

impl Output {
    fn put(&mut self, kind: ResourceKind, resource: &EnvoyResource, awaited: bool, endpoints: Option<Arc<str>>) {
        let resource = Resource::new(kind.type_url(), resource.name(), resource.encode());
        self.put_intent(Intent { resource, awaited, endpoints });
    }

    fn put_intent(&mut self, intent: Intent) {
        self.resources.insert(intent.resource.key(), intent);
    }
}

/// What the decoder says, in the words of this crate.
fn problem(problem: &axoneme_envoy::Problem) -> Problem {
    let message = match &problem.suggestion {
        Some(suggestion) => format!("{}, did you mean {suggestion}?", problem.message),
        None => problem.message.clone(),
    };
    let make = if problem.is_error() { Problem::error } else { Problem::warning };
    let reason = if problem.denied.is_some() { Reason::NotPermitted } else { Reason::Invalid };
    make(reason, problem.path.clone(), message)
}
