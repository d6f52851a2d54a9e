//! Asks the real Envoy: the bootstrap, the article, endpoints, and that it refuses what the rules refuse.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use axoneme_envoy::{ENVOY_VERSION, EnvoyResource, Owner, ResourceKind, bootstrap::Bootstrap, decode, endpoints};
use serde_json::{Value, json};

use crate::{load, objects::resources};

const ARTICLE: Owner<'_> = Owner { namespace: "cilium-test", name: "envoy-lb-listener" };

pub(crate) fn binary() -> PathBuf {
    axoneme_testnet::envoy().unwrap()
}

/// What `envoy --mode validate` says to a bootstrap; `Ok` if it takes it.
fn validate(envoy: &Path, bootstrap: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bootstrap.json");
    std::fs::write(&file, serde_json::to_vec_pretty(bootstrap).unwrap()).unwrap();
    let output = Command::new(envoy).args(["--mode", "validate", "-l", "error", "-c"]).arg(&file).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn bootstrap() -> Value {
    Bootstrap::new("node1", Path::new("/run/axoneme/xds.sock"), Path::new("/run/axoneme/admin.sock")).to_json()
}

/// The bootstrap with `resources` in it: listeners get an address, and routes stand where they are asked for, because Envoy
/// looks at them only there.
fn with(resources: &[EnvoyResource]) -> Value {
    let of = |kind| resources.iter().filter(move |resource| resource.kind() == kind);
    let mut bootstrap = bootstrap();
    for cluster in of(ResourceKind::Cluster) {
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        clusters.push(untyped(cluster));
    }
    let routes = of(ResourceKind::Route).map(|route| (route.name().to_owned(), untyped(route))).collect::<Vec<_>>();
    let listeners = of(ResourceKind::Listener).map(|listener| {
        let mut listener = untyped(listener);
        listener["address"] = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        for chain in listener["filter_chains"].as_array_mut().unwrap() {
            let hcm = &mut chain["filters"][0]["typed_config"];
            let wanted = hcm["rds"]["route_config_name"].clone();
            let route = routes.iter().find(|(name, _)| wanted == json!(name)).unwrap();
            hcm.as_object_mut().unwrap().remove("rds");
            hcm["route_config"] = route.1.clone();
        }
        listener
    });
    bootstrap["static_resources"]["listeners"] = listeners.collect();
    bootstrap
}

fn untyped(resource: &EnvoyResource) -> Value {
    let mut json = resource.to_json().unwrap();
    json.as_object_mut().unwrap().remove("@type");
    json
}

#[test]
fn the_descriptors_are_of_the_binary_that_we_run() {
    let envoy = binary();
    let output = Command::new(envoy).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(version.contains(ENVOY_VERSION), "descriptors of {ENVOY_VERSION}, binary {version}");
}

#[test]
fn it_takes_the_bootstrap() {
    let envoy = binary();
    assert_eq!(validate(&envoy, &bootstrap()), Ok(()));
    let mut wrong = bootstrap();
    wrong["cluster_manager"]["upstream_bind_config"]["socket_options"][0]["state"] = json!("STATE_X");
    assert!(validate(&envoy, &wrong).unwrap_err().contains("STATE_X"));
}

#[test]
fn it_takes_the_objects_of_the_article_and_of_an_ingress() {
    let envoy = binary();
    assert_eq!(validate(&envoy, &with(&resources("article", &ARTICLE))), Ok(()));
    assert_eq!(validate(&envoy, &with(&resources("ingress", &ARTICLE))), Ok(()));
}

/// What the constraint rules refuse, Envoy refuses too.
#[test]
fn it_refuses_what_we_refuse() {
    let envoy = binary();
    let good = with(&resources("article", &ARTICLE));
    let route = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config";
    let cases = [
        ("/static_resources/clusters/1/connect_timeout", json!("0s")),
        ("/static_resources/clusters/1/outlier_detection", json!({"max_ejection_percent": 101})),
        ("/static_resources/clusters/1/lb_policy", json!("ROUND_ROBBIN")),
        (&format!("{route}/virtual_hosts/0/domains"), json!([])),
        (&format!("{route}/virtual_hosts/0/routes/0"), json!({"match": {"prefix": "/"}})),
        (&format!("{route}/virtual_hosts/0/routes/0/nope"), json!(1)),
    ];
    for (pointer, value) in cases {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut bad = good.clone();
        match bad.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        assert!(validate(&envoy, &bad).is_err(), "Envoy takes a bad {pointer}");
        let (section, of) = if pointer.contains("listeners") {
            ("/static_resources/listeners/0", "envoy.config.listener.v3.Listener")
        } else {
            ("/static_resources/clusters/1", "envoy.config.cluster.v3.Cluster")
        };
        let mut json = bad.pointer(section).unwrap().clone();
        json["@type"] = json!(format!("type.googleapis.com/{of}"));
        assert!(decode(&json, "r").is_err(), "we take a bad {pointer}");
    }
}

/// The hand-written messages are Envoy's: reading them by its descriptors gives what was meant.
#[test]
fn an_assignment_is_envoys() {
    let backend = |zone: &str, address: &str, more: &[&str], node: &str| endpoints::Backend {
        zone: zone.into(),
        address: address.parse().unwrap(),
        more: more.iter().map(|address| address.parse().unwrap()).collect(),
        node: node.into(),
    };
    let at = |address: &str, port: u16| json!({"socket_address": {"address": address, "port_value": port}});
    let plain = |address: &str, port: u16| json!({"endpoint": {"address": at(address, port)}});
    let one = backend("", "10.0.0.1:80", &[], "");
    let six = backend("", "[fd00::1]:8080", &[], "");
    let both = backend("z", "10.0.0.2:80", &["[fd00::2]:81"], "n");
    let joined = json!({
        "endpoint": {"address": at("10.0.0.2", 80), "additional_addresses": [{"address": at("fd00::2", 81)}]},
        "metadata": {"filter_metadata": {"envoy.lb": {"node": "n"}}},
    });
    let unzoned = json!([plain("10.0.0.1", 80), plain("fd00::1", 8080)]);
    let cases = [
        (vec![], json!([])),
        (vec![six.clone(), one.clone()], json!([{"lb_endpoints": unzoned}])),
        (vec![both.clone()], json!([{"locality": {"zone": "z"}, "lb_endpoints": [joined]}])),
        (
            vec![both, six, one],
            json!([
                {"locality": {}, "load_balancing_weight": 2, "lb_endpoints": unzoned},
                {"locality": {"zone": "z"}, "load_balancing_weight": 1, "lb_endpoints": [joined]},
            ]),
        ),
    ];
    for (backends, endpoints) in cases {
        let json = json!({"@type": endpoints::TYPE_URL, "cluster_name": "default/echo:80", "endpoints": endpoints});
        let ours = decode(&json, "r").unwrap_or_else(|problems| panic!("{problems:#?}")).encode();
        assert_eq!(endpoints::assignment("default/echo:80", &BTreeSet::from_iter(backends)), ours, "{json}");
    }
}

#[test]
fn a_bad_regex_is_for_envoy_to_find() {
    let envoy = binary();
    let mut objects = load("article");
    objects[1]["virtual_hosts"][0]["routes"][0]["route"]["regex_rewrite"]["pattern"]["regex"] = json!("^/(.*");
    let mut decoded = objects.iter().map(|json| decode(json, "r").unwrap_or_else(|problems| panic!("{problems:#?}")));
    let (listener, route) = (decoded.next().unwrap(), decoded.next().unwrap());
    assert!(validate(&envoy, &with(&[listener, route])).unwrap_err().contains("missing )"));
}
