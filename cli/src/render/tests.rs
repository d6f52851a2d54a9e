//! The equivalent of an Ingress is one: given as input, it becomes the same.

use std::path::Path;

use axoneme_envoy::{EnvoyResource, Policy, ResourceKind};

use super::*;

/// Each with an address of its own, and all at one.
const INGRESSES: [&str; 2] = ["../operator/tests/golden/ingress", "../operator/tests/golden/shared"];

fn read(path: &Path) -> Input {
    Input::read(&[path.to_owned()], Policy::default()).unwrap()
}

/// Every Envoy resource of these, by type and name. A virtual host's name says whose it is in an Envoy config.
fn resources(resources: &[&Resource], origin: &str) -> Vec<(String, Value)> {
    let kinds = resources.iter().filter_map(|it| Some((ResourceKind::of(&it.type_url)?, it)));
    let read = kinds.map(|(kind, it)| {
        let mut json = EnvoyResource::from_bytes(kind, &it.body).unwrap().to_json().unwrap();
        for host in json["virtual_hosts"].as_array_mut().into_iter().flatten() {
            let name = host["name"].as_str().unwrap().trim_start_matches(&format!("{origin}/")).to_owned();
            host["name"] = name.into();
        }
        (it.name.to_string(), json)
    });
    read.collect()
}

#[test]
fn the_config_of_an_ingress_becomes_what_the_ingress_becomes() {
    INGRESSES.into_iter().for_each(compare);
}

fn compare(folder: &str) {
    let input = read(Path::new(folder));
    let of_input = owned(&input.engine, None);
    let mut ingresses = 0;
    for (object, wanted) in of_input.iter().filter(|(object, _)| object.kind == Kind::Ingress) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, serde_yaml::to_string(&config::equivalent(object, wanted)).unwrap()).unwrap();
        let again = read(&file);
        assert_eq!(again.folder.problems(), []);
        // Services are not part of the document.
        let problems = again.engine.problems().values().flatten().filter(|problem| !problem.reason.is_reference());
        assert_eq!(problems.collect::<Vec<_>>(), Vec::<&axoneme_operator::Problem>::new());
        let of_again = owned(&again.engine, None);
        let (key, got) = of_again.iter().find(|(object, _)| object.kind == Kind::CiliumEnvoyConfig).unwrap();
        let origin = format!("{}/{}", key.name.namespace, key.name.name);
        assert_eq!(resources(got, &origin), resources(wanted, &origin), "{object}");
        ingresses += 1;
    }
    assert!(ingresses > 0);
}

#[test]
fn a_node_sees_what_is_for_it() {
    let input = read(Path::new("../operator/tests/golden/clusterwide"));
    let all: usize = owned(&input.engine, None).values().map(Vec::len).sum();
    let one: usize = owned(&input.engine, Some("no such node")).values().map(Vec::len).sum();
    assert!(one < all, "{one} of {all}");
}
