//! The CiliumEnvoyConfig that would do the same as an Ingress, for people who want to see or to change what it becomes.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_api::{intent::REDIRECT, names};
use axoneme_envoy::ResourceKind;
use axoneme_operator::{ObjectKey, translate::EndpointsName};
use axoneme_xds::Resource;
use serde_json::{Value, json};

use crate::input;

/// The equivalent of an Ingress, from what nodes are told of it. Names lose the part that they get again from the object's
/// own name, and certificates are the Secrets of Kubernetes by name. One of another namespace, such as the default
/// certificate, is none that a CiliumEnvoyConfig may use: put a copy of it where the object is.
pub(super) fn equivalent(ingress: &ObjectKey, resources: &[&Resource]) -> Value {
    let origin = origin(ingress, resources);
    let (namespace, name) = origin.split_once('/').unwrap_or_default();
    let is = |it: &&&Resource, type_url: &str| *it.type_url == *type_url;
    let redirects = resources.iter().filter(|it| is(it, REDIRECT));
    let mut services: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for redirect in redirects.map(|it| input::show(it)) {
        let text = |field: &str| redirect[field].as_str().unwrap_or_default().to_owned();
        let Some((service, port)) =
            text("service").rsplit_once(':').map(|(service, port)| (service.to_owned(), port.parse::<u64>()))
        else {
            continue;
        };
        services.entry((service, text("listener"))).or_default().extend(port);
    }
    let of = |service: &str| service.rsplit('/').next().unwrap_or_default().to_owned();
    let services = services.into_iter().map(|((service, listener), ports)| {
        json!({ "name": of(&service), "namespace": namespace, "listener": of(&listener), "ports": ports })
    });
    let secret = ResourceKind::Secret.type_url();
    let resources = resources.iter().filter(|it| !is(it, REDIRECT) && !is(it, secret));
    let (mut shown, mut backends) = (Vec::new(), BTreeSet::new());
    for resource in resources {
        let mut json = input::show(resource);
        let endpoints = json["eds_cluster_config"]["service_name"].as_str().and_then(EndpointsName::parse);
        backends.extend(endpoints);
        shorten(&mut json, &format!("{origin}/"));
        shown.push(json);
    }
    let backends = backends.into_iter().map(
        |it| json!({ "name": &*it.service.name, "namespace": &*it.service.namespace, "number": it.port().as_slice() }),
    );
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEnvoyConfig",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "services": services.collect::<Vec<_>>(),
            "backendServices": backends.collect::<Vec<_>>(),
            "resources": shown,
        },
    })
}

/// What the names of all resources begin with. What belongs to all shared Ingresses together is no object, and is called after
/// their Service: `axoneme/cilium-ingress/routes`.
fn origin(ingress: &ObjectKey, resources: &[&Resource]) -> String {
    let routes = ResourceKind::Route.type_url();
    let table = resources.iter().find(|it| ingress.name.namespace.is_empty() && *it.type_url == *routes);
    match table.and_then(|table| table.name.rsplit_once('/')) {
        Some((origin, _)) => origin.to_owned(),
        None => names::ingress_origin(&ingress.name.namespace, &ingress.name.name),
    }
}

fn shorten(json: &mut Value, prefix: &str) {
    match json {
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(prefix) {
                *text = rest.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, prefix)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| shorten(field, prefix));
            // A reference to a secret: `namespace:name` as the Ingress has it, `namespace/name` as everybody else.
            if fields.contains_key("sds_config")
                && let Some(Value::String(name)) = fields.get_mut("name")
            {
                *name = name.replacen(':', "/", 1);
            }
        }
        _ => {}
    }
}
