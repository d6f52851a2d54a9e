//! Annotations under Cilium's names: understood, and told where they have no effect.

use axoneme_envoy::Policy;
use axoneme_operator::SourceEvent;
use axoneme_operator::source::Object;
use axoneme_operator::translate::config::{Parsed, parse};

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

fn parsed(text: &str) -> Parsed {
    let object = support::applies(&support::text(text)).pop();
    let Some(SourceEvent::Apply(Object::EnvoyConfig(config))) = object else { unreachable!("{text}") };
    parse(&config, &Policy::default()).unwrap()
}

/// Whether the object asks to keep the client's address, and what is told of it.
fn keeps(text: &str) -> (bool, Vec<String>) {
    let (world, told) = run(text);
    // An annotation never keeps an object from being served.
    assert!(world.sent("node").contains("Cluster ns/x/c"), "{text}");
    let told = told.into_iter().map(|told| told.replace("CiliumEnvoyConfig ns/x: ", ""));
    (parsed(text).options.keeps_client_address, told.collect())
}

#[test]
fn edge_07_the_clients_address_is_asked_for_as_in_cilium() {
    assert_eq!(keeps(&annotated("", "")), (false, vec![]));
    for no in ["false", "0", "F"] {
        assert_eq!(keeps(&annotated(&original(no), "")), (false, vec![]), "{no}");
    }
    for yes in ["true", "1", "True"] {
        let (keeps, told) = keeps(&annotated(&original(yes), ""));
        assert!(keeps, "{yes}");
        assert_told(&told, &[&format!("{ORIGINAL}: is not supported yet: backends see the node's address")]);
    }
    for garbage in ["yes", "", " true", "TrUe"] {
        let (keeps, told) = keeps(&annotated(&original(garbage), ""));
        assert!(!keeps, "{garbage}");
        assert_told(&told, &[&format!("{ORIGINAL}: {garbage:?} is neither true nor false; the default holds")]);
    }
}

#[test]
fn edge_07_the_older_label_counts_where_no_annotation_does() {
    let label = "labels: {cilium.io/use-original-source-address: \"true\"}";
    let field = "metadata.labels[\"cilium.io/use-original-source-address\"]: is not supported yet";
    let (from_label, told) = keeps(&annotated("", label));
    assert!(from_label);
    assert_told(&told, &[field]);
    assert_eq!(keeps(&annotated(&original("false"), label)), (false, vec![]));
    let (keeps, told) = keeps(&annotated(&original("maybe"), label));
    assert!(keeps);
    assert_told(&told, &[&format!("{ORIGINAL}: \"maybe\" is neither"), field]);
}

#[test]
fn edge_07_what_is_made_for_an_ingress_or_a_gateway_never_keeps_it() {
    for (kind, expected) in [("Ingress", false), ("Gateway", false), ("Deployment", true)] {
        let owner = format!("ownerReferences: [{{apiVersion: v1, kind: {kind}, name: o, uid: u}}]");
        let (keeps, told) = keeps(&annotated(&original("true"), &owner));
        assert_eq!((keeps, told.len()), (expected, usize::from(expected)), "{kind} {told:?}");
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
    let mut world = World::new(&annotated(&original("true"), ""));
    assert_eq!(world.told().len(), 1);
    let changes = world.apply(&annotated(&original("false"), ""));
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(changed(&changes).len(), 0, "no node is told anything");
}
