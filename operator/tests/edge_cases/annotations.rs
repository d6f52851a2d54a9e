//! Annotations under Cilium's names: understood, and told where they have no effect.

use axoneme_envoy::{Policy, ResourceKind};
use axoneme_operator::SourceEvent;
use axoneme_operator::source::Object;
use axoneme_operator::translate::config::{Parsed, parse};
use axoneme_xds::View as _;

use crate::build::*;
use crate::support;
use crate::world::*;

const ORIGINAL: &str = "metadata.annotations[\"cec.cilium.io/use-original-source-address\"]";

fn annotated(annotations: &str, more: &str) -> String {
    let resources = [cluster("c")];
    config_with("ns", "x", &format!("annotations: {{{annotations}}}, {more}"), &resources)
}

fn original(value: &str) -> String {
    format!("cec.cilium.io/use-original-source-address: {value:?}")
}

fn parsed(text: &str, policy: &Policy) -> Parsed {
    let object = support::applies(&support::text(text)).pop();
    let Some(SourceEvent::Apply(Object::EnvoyConfig(config))) = object else { unreachable!("{text}") };
    parse(&config, policy).unwrap()
}

/// Whether the object asks to keep the client's address, and what is told of it.
fn keeps(text: &str) -> (bool, Vec<String>) {
    let (world, told) = run(text);
    // An annotation never keeps an object from being served.
    assert!(world.sent("node").contains("Cluster ns/x/c"), "{text}");
    let told = told.into_iter().map(|told| told.replace("CiliumEnvoyConfig ns/x: ", ""));
    (parsed(text, &Policy::default()).options.keeps_client_address, told.collect())
}

#[test]
fn edge_07_the_clients_address_is_asked_for_as_in_cilium() {
    assert_eq!(keeps(&annotated("", "")), (false, vec![]));
    for no in ["false", "0", "F"] {
        assert_eq!(keeps(&annotated(&original(no), "")), (false, vec![]), "{no}");
    }
    for yes in ["true", "1", "True"] {
        assert_eq!(keeps(&annotated(&original(yes), "")), (true, vec![]), "{yes}");
    }
    for garbage in ["yes", "", " true", "TrUe"] {
        let (keeps, told) = keeps(&annotated(&original(garbage), ""));
        assert!(!keeps, "{garbage}");
        assert_told(&told, &[&format!("{ORIGINAL}: {garbage:?} is neither true nor false; the default holds")]);
    }
}

#[test]
fn edge_07_the_default_is_the_operators_and_each_object_may_differ() {
    let policy = Policy::default().with_client_address_kept(true);
    for (annotation, expected) in [("", true), (&*original("false"), false), (&*original("what"), true)] {
        let parsed = parsed(&annotated(annotation, ""), &policy);
        assert_eq!(parsed.options.keeps_client_address, expected, "{annotation}");
    }
}

#[test]
fn edge_07_the_older_label_counts_where_no_annotation_does() {
    let label = "labels: {cilium.io/use-original-source-address: \"true\"}";
    assert_eq!(keeps(&annotated("", label)), (true, vec![]));
    assert_eq!(keeps(&annotated(&original("false"), label)), (false, vec![]));
    let (keeps, told) = keeps(&annotated(&original("maybe"), label));
    assert!(keeps);
    assert_told(&told, &[&format!("{ORIGINAL}: \"maybe\" is neither")]);
}

#[test]
fn edge_07_what_is_made_for_an_ingress_or_a_gateway_never_keeps_it() {
    for (kind, expected) in [("Ingress", false), ("Gateway", false), ("Deployment", true)] {
        let owner = format!("ownerReferences: [{{apiVersion: v1, kind: {kind}, name: o, uid: u}}]");
        assert_eq!(keeps(&annotated(&original("true"), &owner)), (expected, vec![]), "{kind}");
    }
}

#[test]
fn edge_07_annotations_without_an_effect_say_so() {
    let at = |key: &str| format!("CiliumEnvoyConfig ns/x: metadata.annotations[\"cec.cilium.io/{key}\"]");
    for key in ["inject-cilium-filters", "is-l7lb"] {
        let told = |value: &str| run(&annotated(&format!("cec.cilium.io/{key}: {value:?}"), "")).1;
        assert_told(&told("true"), &[&format!("{}: has no effect: it is about network policies", at(key))]);
        assert_told(&told("false"), &[]);
        assert_told(&told("x"), &[&format!("{}: \"x\" is neither true nor false", at(key))]);
    }
    let (_, told) = run(&annotated("cec.cilium.io/unheard-of: a, example.org/mine: b", ""));
    assert_told(&told, &[&format!("{}: has no effect: this annotation is not supported", at("unheard-of"))]);
}

#[test]
fn edge_07_an_annotation_that_changes_is_looked_at_again() {
    let filter = "original_src.v3.OriginalSrc";
    let resources = [cluster("c"), listener("l", "r"), routes("r", "{cluster: c}")];
    let with = |annotation: &str| config_with("ns", "x", &format!("annotations: {{{annotation}}}"), &resources);
    let listener = |world: &World| {
        let sent = world.engine.intents().view("node").get(ResourceKind::Listener.type_url(), "ns/x/l").unwrap();
        String::from_utf8_lossy(&sent.body).into_owned()
    };
    let mut world = World::new(&with(&original("true")));
    assert!(listener(&world).contains(filter));
    let changes = world.apply(&with(&original("false")));
    assert_eq!(changed(&changes).len(), 1, "the listener");
    assert!(!listener(&world).contains(filter));
}
