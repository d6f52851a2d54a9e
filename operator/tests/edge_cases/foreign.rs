//! Backends of other namespaces: anybody's, unless the operator forbids them.

use axoneme_envoy::Policy;
use axoneme_operator::source::Object;
use axoneme_operator::translate::config::parse;
use axoneme_operator::{Severity, SourceEvent};

use crate::build::*;
use crate::support;

/// What is told of a config whose backends are of namespace `other`, in all ways to name one.
fn told(namespace: &str, forbidden: bool) -> Vec<String> {
    let resources = [
        cluster("listed") + "\neds_cluster_config: {service_name: other/db}",
        cluster("again") + "\neds_cluster_config: {service_name: 'ns/own:80'}",
        routes("r", "{cluster: other/x/defined-there}"),
        routes("s", "{cluster: ns/x/own}"),
        routes("t", "{cluster: /envoy-admin}"),
    ];
    let backends = "  backendServices: [{name: own, namespace: ns}, {name: db, namespace: other}, {name: web}]\n";
    let text = config(namespace, "x", &resources) + backends;
    let object = support::applies(&support::text(&text)).pop();
    let Some(SourceEvent::Apply(Object::EnvoyConfig(config))) = object else { unreachable!("{text}") };
    let policy = Policy::default().with_foreign_backends_forbidden(forbidden);
    let problems = parse(&config, &policy).err().unwrap_or_default();
    problems.iter().filter(|problem| problem.severity == Severity::Error).map(ToString::to_string).collect()
}

#[test]
fn edge_12_backends_of_others_are_to_be_had_unless_forbidden() {
    assert_eq!(told("ns", false), [""; 0]);
    let why = "is of namespace \"other\", and the operator forbids backends of other namespaces \
               (--forbid-foreign-backends); take a Service of namespace \"ns\", or use a CiliumClusterwideEnvoyConfig";
    let fields = [
        "spec.backendServices[1].namespace",
        "spec.resources[0].eds_cluster_config.service_name",
        "spec.resources[2].virtual_hosts[0].routes[0].route.cluster",
    ];
    assert_eq!(told("ns", true), fields.map(|field| format!("{field}: {why}")));
    // Who may write a clusterwide object may name everybody's.
    assert_eq!(told("", true), [""; 0]);
}
