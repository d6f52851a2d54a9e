//! An intent, as a node gets it: a type and bytes, which it reads through a few hand-written messages.
//!
//! Envoy reads the same bytes by its full descriptors, and so does this: both must see the same.

use std::{collections::BTreeSet, net::IpAddr};

use axoneme_api::intent::REDIRECT;
use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_node::{
    listener::{self, Binding, Ground},
    references::references,
};
use axoneme_xds::{Change, Key, Resource, type_urls};
use serde_json::{Value as Json, json};

use crate::node;

/// The types of a node, by the first byte of an input.
pub(crate) const TYPES: [&str; 7] = [
    type_urls::LISTENER,
    type_urls::CLUSTER,
    REDIRECT,
    type_urls::ROUTE,
    type_urls::ENDPOINTS,
    type_urls::SECRET,
    type_urls::SCOPED_ROUTE,
];

const PORT: u16 = 10_007;
const GROUND: Ground = Ground { ipv6: true, groups: true };

/// Takes an intent: the type's number in [`TYPES`] and the body.
pub fn check(data: &[u8]) {
    let Some((number, body)) = data.split_first() else { return };
    let type_url = TYPES[usize::from(*number) % TYPES.len()];
    let known = ResourceKind::of(type_url).and_then(|kind| EnvoyResource::from_bytes(kind, body));
    if let Some(resource) = &known {
        // As an operator would write it: of other ways to write it, such as groups, readers think differently.
        let body = resource.encode();
        assert!(references(type_url, &body).is_ok() || resource.kind() == ResourceKind::Listener, "cannot be read");
        if type_url == type_urls::LISTENER {
            bound(resource, &body);
        }
    }
    accepted(&Resource::new(type_url, "default/web", body.to_vec()));
}

/// What is added to a listener is all that is new in it.
fn bound(resource: &EnvoyResource, body: &[u8]) {
    let Ok(Binding::ProxyPort) = listener::binding(body) else { return };
    let Ok(merged) = listener::bind(body, PORT, GROUND) else { unreachable!("a listener with a binding is not bound") };
    assert_eq!(listener::binding(&merged), Ok(Binding::AsWritten));
    let Some(merged) = EnvoyResource::from_bytes(ResourceKind::Listener, &merged) else {
        unreachable!("Envoy cannot read what was added to a listener that it can")
    };
    // Unknown types in it cannot be shown.
    let (Ok(mut before), Ok(mut after)) = (resource.to_json(), merged.to_json()) else { return };
    assert_eq!(after["address"]["socket_address"], json!({"address": "127.0.0.1", "port_value": PORT}));
    assert_eq!(after["transparent"], json!(true));
    assert_ne!(after["bind_to_port"], json!(false));
    for field in
        ["address", "additional_addresses", "transparent", "socket_options", "bind_to_port", "listener_filters"]
    {
        let (before, after) = (take(&mut before, field), take(&mut after, field));
        let items = |json: Json| json.as_array().cloned().unwrap_or_default();
        assert!(items(after).starts_with(&items(before)), "{field}: what was there is not there any more");
    }
    assert_eq!(before, after, "something else changed");
}

fn take(json: &mut Json, field: &str) -> Json {
    json.as_object_mut().and_then(|object| object.remove(field)).unwrap_or_default()
}

/// A node takes it, and lets go of it.
fn accepted(resource: &Resource) {
    let mut node = node::Node::new(Vec::new());
    node.addresses(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1])]);
    let key = resource.key();
    node.intent(&key, Change::Put(resource.clone()));
    let needs: BTreeSet<Key> = references(&key.0, &resource.body).unwrap_or_default();
    for need in needs {
        node.intent(&need, Change::Put(Resource::new(need.0.clone(), need.1.clone(), "")));
    }
    node.settle();
    node.intent(&key, Change::Remove);
    node.settle();
    assert!(!node.serves(&key), "served although it is not wanted any more");
    assert!(!node.frontends(), "the kernel leads to what is gone");
}
