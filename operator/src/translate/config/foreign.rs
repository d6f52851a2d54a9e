//! Backends of other namespaces, where the operator forbids them.

use std::collections::BTreeMap;

use axoneme_envoy::{Policy, Refs};

use crate::problem::{Problem, Reason};
use crate::source::EnvoyConfig;
use crate::translate::EndpointsName;

/// Each place that names a backend of another namespace, unless `policy` lets it. A list that names none would be no bar: a
/// cluster gets the endpoints of the Service that it is named after, and a route reaches the cluster of another object. A
/// clusterwide object has no namespace to stay in.
pub(super) fn backends(config: &EnvoyConfig, refs: &[Refs], policy: &Policy) -> Vec<Problem> {
    let own = &*config.meta.name.namespace;
    if own.is_empty() || !policy.forbids_foreign_backends() {
        return Vec::new();
    }
    let refuse = |field: String, namespace: &str| {
        let why = format!(
            "is of namespace {namespace:?}, and the operator forbids backends of other namespaces \
             (--forbid-foreign-backends); take a Service of namespace {own:?}, or use a CiliumClusterwideEnvoyConfig"
        );
        Problem::error(Reason::NotPermitted, field, why)
    };
    let mut problems = Vec::new();
    for (at, backend) in config.backend_services.iter().enumerate() {
        let namespace = &*backend.service.namespace;
        if namespace != own {
            problems.push(refuse(format!("spec.backendServices[{at}].namespace"), namespace));
        }
    }
    // By place, in which a name stands once.
    let mut fields = BTreeMap::new();
    for refs in refs {
        for (name, field) in &refs.endpoints {
            if let Some(name) = EndpointsName::parse(name) {
                fields.insert(field.as_str(), name.service.namespace.to_string());
            }
        }
        for (name, field) in &refs.clusters {
            if let Some((namespace, _)) = name.split_once('/').filter(|(namespace, _)| !namespace.is_empty()) {
                fields.insert(field, namespace.to_owned());
            }
        }
    }
    let foreign = fields.into_iter().filter(|(_, namespace)| namespace != own);
    problems.extend(foreign.map(|(field, namespace)| refuse(field.to_owned(), &namespace)));
    problems
}
