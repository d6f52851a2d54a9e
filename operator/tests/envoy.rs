//! The real Envoy accepts what is made of every golden folder, bad ones included: what reaches a node is sound.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use axoneme_envoy::bootstrap::Bootstrap;
use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_operator::Engine;
use serde_json::{Value, json};

/// The resources of one kind that a node gets, by name.
fn resources(engine: &Engine, kind: ResourceKind) -> BTreeMap<String, Value> {
    let all = engine.intents().view("node");
    let mine = all.iter().filter(|resource| *resource.type_url == *kind.type_url());
    let json = |resource: &axoneme_xds::Resource| {
        let mut json = EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap();
        json.as_object_mut().unwrap().remove("@type");
        (resource.name.to_string(), json)
    };
    mine.map(json).collect()
}

/// A bootstrap that holds everything by itself. Listeners get an address as a node would give them, and hold their routes.
fn bootstrap(engine: &Engine) -> Value {
    let paths = [Path::new("/run/axoneme/xds.sock"), Path::new("/run/axoneme/admin.sock")];
    let mut bootstrap = Bootstrap::new("node", paths[0], paths[1]).to_json();
    let routes = resources(engine, ResourceKind::Route);
    let mut listeners: Vec<Value> = resources(engine, ResourceKind::Listener).into_values().collect();
    for (at, listener) in listeners.iter_mut().enumerate() {
        if listener.get("address").is_none() {
            listener["address"] = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 10000 + at } });
        }
        for filter in listener["filter_chains"].as_array_mut().into_iter().flatten() {
            for filter in filter["filters"].as_array_mut().into_iter().flatten() {
                let config = filter["typed_config"].as_object_mut().unwrap();
                let name = config.get("rds").map(|rds| rds["route_config_name"].as_str().unwrap().to_owned());
                if let Some(routes) = name.and_then(|name| routes.get(&name)) {
                    config.remove("rds");
                    config.insert("route_config".to_owned(), routes.clone());
                }
            }
        }
    }
    let fixed = &mut bootstrap["static_resources"];
    fixed["clusters"].as_array_mut().unwrap().extend(resources(engine, ResourceKind::Cluster).into_values());
    fixed["listeners"] = listeners.into();
    bootstrap
}

fn accepts(folder: &Path) {
    let envoy = axoneme_testnet::envoy().unwrap();
    let (engine, _) = support::run(&support::read(folder));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bootstrap.json");
    std::fs::write(&file, bootstrap(&engine).to_string()).unwrap();
    let output = Command::new(envoy).args(["--mode", "validate", "-l", "error", "-c"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&said));
}

#[test]
fn every_golden_folder() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folders = std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    // Its certificates are words, which only the one who loads them can tell.
    let folders = folders.filter(|path| path.is_dir() && !path.ends_with("secrets"));
    folders.for_each(|folder| accepts(&folder));
}

#[test]
fn the_article() {
    accepts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/article"));
}
