//! An engine and the objects that it has seen, edited one by one.

use std::collections::BTreeSet;

use axoneme_api::intent::{REDIRECT, Redirect};
use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_operator::file_source::Folder;
use axoneme_operator::local::Local;
use axoneme_operator::{Changes, Engine, Kind, ObjectKey, SourceEvent};
use axoneme_xds::View as _;
use prost::Message as _;
use serde_json::Value;

use crate::support;

/// See the module's text.
pub(crate) struct World {
    pub(crate) engine: Engine,
    local: Local,
}

impl World {
    pub(crate) fn new(text: &str) -> Self {
        let (engine, local) = support::run(&Folder::default());
        let mut world = Self { engine, local };
        world.apply(text);
        world
    }

    /// `kubectl apply`.
    pub(crate) fn apply(&mut self, text: &str) -> Changes {
        let mut all = Changes::default();
        for event in support::applies(&support::text(text)) {
            all.merge(self.local.drive(&mut self.engine, event));
        }
        all
    }

    /// `kubectl delete`.
    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> Changes {
        self.local.drive(&mut self.engine, SourceEvent::Delete(ObjectKey::new(kind, namespace, name)))
    }

    /// `Type name` of everything that a node gets.
    pub(crate) fn sent(&self, node: &str) -> BTreeSet<String> {
        let view = self.engine.intents().view(node);
        view.iter().map(|it| format!("{} {}", it.type_url.rsplit('.').next().unwrap(), it.name)).collect()
    }

    /// Everything that is wrong.
    pub(crate) fn told(&self) -> Vec<String> {
        let all = self.engine.problems().iter();
        all.flat_map(|(object, problems)| problems.iter().map(move |problem| format!("{object}: {problem}"))).collect()
    }

    /// The listener that a Service's port goes to: `ns/service:80`.
    pub(crate) fn listener_of(&self, service_port: &str) -> Option<String> {
        let resource = self.engine.intents().view("node").get(REDIRECT, service_port)?;
        Some(Redirect::decode(resource.body).unwrap().listener)
    }

    /// The backends of an assignment, in order: zone, addresses and node, as far as they are known. `None` without one.
    pub(crate) fn backends(&self, name: &str) -> Option<Vec<String>> {
        let kind = ResourceKind::Endpoints;
        let resource = self.engine.intents().view("node").get(kind.type_url(), name)?;
        let json = EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap();
        let list = |json: &Value| json.as_array().cloned().unwrap_or_default();
        let mut backends = Vec::new();
        for locality in list(&json["endpoints"]) {
            let zone = locality["locality"]["zone"].as_str().unwrap_or_default().to_owned();
            for host in list(&locality["lb_endpoints"]) {
                let more = list(&host["endpoint"]["additional_addresses"]);
                let mut words = vec![zone.clone(), address(&host["endpoint"]["address"])];
                words.extend(more.iter().map(|more| address(&more["address"])));
                words.push(host["metadata"]["filter_metadata"]["envoy.lb"]["node"].as_str().unwrap_or_default().into());
                backends.push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
            }
        }
        Some(backends)
    }
}

fn address(json: &Value) -> String {
    let socket = &json["socket_address"];
    format!("{}:{}", socket["address"].as_str().unwrap(), socket["port_value"])
}

/// What comes of these objects, and what is told of them.
pub(crate) fn run(text: &str) -> (World, Vec<String>) {
    let world = World::new(text);
    let told = world.told();
    (world, told)
}

/// `Type name` of what changed.
pub(crate) fn changed(changes: &Changes) -> BTreeSet<String> {
    changes.intents.iter().map(|(url, name)| format!("{} {name}", url.rsplit('.').next().unwrap())).collect()
}

/// The problems start with these, in order.
pub(crate) fn assert_told(told: &[String], starts: &[&str]) {
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told:?} does not start with {start:?}");
    }
}
