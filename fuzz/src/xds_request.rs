//! Requests of a client of the xDS server: a node with a token, or whoever may open Envoy's socket.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_xds::{Change, Key, Policy, Request, Resource, Response, Session, Store, type_urls};
use prost::Message as _;

use crate::frames;

const TYPES: [&str; 4] = [type_urls::CLUSTER, type_urls::ENDPOINTS, type_urls::LISTENER, type_urls::ROUTE];
const NAMES: [&str; 3] = ["a", "b", "default/web:80"];

/// Feeds a stream with the parts of an input: requests, and edits of what is offered.
pub fn check(data: &[u8]) {
    for policy in [Policy::envoy(), Policy::intents()] {
        stream(data, policy);
    }
}

fn stream(data: &[u8], policy: Policy) {
    let (mut session, mut store) = (Session::new(policy), Store::default());
    let mut asked = Asked::default();
    for part in frames::split(data) {
        // A part of up to three bytes is an edit: which type, which name, and which content, if any.
        let responses = if let [kind, name, content @ ..] = part
            && content.len() < 2
        {
            let changed = store.apply([edit(*kind, *name, content)]);
            session.on_change(&changed, &store)
        } else {
            let Ok(request) = Request::decode(part) else { continue };
            asked.note(&request);
            session.on_request(request, &store).responses
        };
        asked.answered(&responses);
    }
}

fn edit(kind: u8, name: u8, content: &[u8]) -> (Key, Change) {
    let type_url = TYPES[usize::from(kind) % TYPES.len()];
    let resource = Resource::new(type_url, NAMES[usize::from(name) % NAMES.len()], content.to_vec());
    let change = if content.is_empty() { Change::Remove } else { Change::Put(resource.clone()) };
    (resource.key(), change)
}

/// What a client may expect to hear of.
#[derive(Default)]
struct Asked {
    types: BTreeMap<String, BTreeSet<String>>,
    nonces: BTreeSet<String>,
}

impl Asked {
    fn note(&mut self, request: &Request) {
        let first = !self.types.contains_key(&request.type_url);
        let names = self.types.entry(request.type_url.clone()).or_default();
        names.extend(request.resource_names_subscribe.iter().cloned());
        names.extend(request.resource_names_unsubscribe.iter().cloned());
        if first {
            names.extend(request.initial_resource_versions.keys().cloned());
            if request.resource_names_subscribe.is_empty() {
                names.insert("*".to_owned());
            }
        }
    }

    fn answered(&mut self, responses: &[Response]) {
        for response in responses {
            assert!(self.nonces.insert(response.nonce.clone()), "a nonce is used twice");
            let Some(names) = self.types.get(&response.type_url) else {
                unreachable!("nobody asked for {}", response.type_url)
            };
            let asked = |name: &String| names.contains("*") || names.contains(name);
            assert!(response.resources.iter().all(|resource| asked(&resource.name)), "nobody asked for {response:?}");
            assert!(response.removed_resources.iter().all(asked), "nobody asked for {response:?}");
        }
    }
}
