//! Whole objects: what their resources become, and what is said of bad ones.

use std::fmt::Write as _;

use axoneme_envoy::{EnvoyResource, Owner, Refs, decode, duplicates, qualify, refs};

use crate::load;

/// The resources of a good object, with their full names.
pub(crate) fn resources(name: &str, owner: &Owner<'_>) -> Vec<EnvoyResource> {
    let decoded = load(name).into_iter().enumerate().map(|(index, json)| {
        let mut resource = decode(&json, &format!("spec.resources[{index}]")).unwrap_or_else(|e| panic!("{e:#?}"));
        qualify(&mut resource, owner).unwrap_or_else(|problem| panic!("{problem}"));
        resource
    });
    let resources = decoded.collect::<Vec<_>>();
    assert_eq!(duplicates(&resources), []);
    resources
}

fn report(resources: &[EnvoyResource]) -> String {
    let mut report = String::new();
    for resource in resources {
        let Refs { clusters, endpoints, routes, secrets, listeners } = refs(resource);
        writeln!(report, "{:?} {}", resource.kind(), resource.name()).unwrap();
        for warning in resource.warnings() {
            writeln!(report, "  warning {warning}").unwrap();
        }
        let kinds = [
            ("cluster", clusters),
            ("endpoints", endpoints),
            ("route", routes),
            ("secret", secrets),
            ("listener", listeners),
        ];
        for (kind, names) in kinds {
            for (name, path) in names {
                writeln!(report, "  {kind} {name} <- {path}").unwrap();
            }
        }
        writeln!(report, "{}", serde_yaml::to_string(&resource.to_json().unwrap()).unwrap()).unwrap();
    }
    report
}

#[test]
fn the_articles_object() {
    let owner = Owner { namespace: "cilium-test", name: "envoy-lb-listener" };
    insta::assert_snapshot!(report(&resources("article", &owner)));
}

#[test]
fn the_object_of_an_ingress() {
    let owner = Owner { namespace: "default", name: "cilium-ingress-default-web" };
    insta::assert_snapshot!(report(&resources("ingress", &owner)));
}

#[test]
fn every_mistake_of_a_bad_object() {
    let mut report = String::new();
    for (index, json) in load("bad").iter().enumerate() {
        match decode(json, &format!("spec.resources[{index}]")) {
            Ok(_) => panic!("resource {index} should be refused"),
            Err(problems) => problems.iter().for_each(|problem| {
                writeln!(report, "{:?}: {problem}", problem.severity).unwrap();
            }),
        }
    }
    insta::assert_snapshot!(report);
}

#[test]
fn the_article_defined_from_another_namespace_is_refused() {
    let owner = Owner { namespace: "default", name: "envoy-lb-listener" };
    let mut cluster = decode(&load("article")[2], "spec.resources[2]").unwrap_or_else(|e| panic!("{e:#?}"));
    let problem = qualify(&mut cluster, &owner).unwrap_err().to_string();
    assert_eq!(
        problem,
        "spec.resources[2].name: \"cilium-test/echo-same-node\" belongs to namespace \"cilium-test\"; \
         an object of namespace \"default\" can refer to it but not define it"
    );
}
