//! 14 and 21: what stands as it should is not written, whatever happens to the operator.

use axoneme_operator::Write;

use crate::cluster::Cluster;
use crate::world::{ingress, rule, secret};

/// Ingresses of several kinds, and one of another class.
fn world() -> String {
    let of = |name: &str, annotations: &str, spec: &str| {
        ingress(annotations, spec).replace("name: web, namespace", &format!("name: {name}, namespace"))
    };
    let rules = format!("rules: [{}]", rule("a.example"));
    let with_tls = format!("{rules}, tls: [{{hosts: [a.example], secretName: cert}}]");
    [
        of("plain", "metallb.io/address-pool: green", &rules),
        of("shared", "ingress.cilium.io/loadbalancer-mode: shared", &rules),
        of("nodes", "ingress.cilium.io/service-type: NodePort", &rules),
        of("wrong", "ingress.cilium.io/force-https: perhaps", &with_tls),
        of("foreign", "kubernetes.io/ingress.class: nginx", &rules),
        secret("shop", "cert"),
    ]
    .concat()
}

#[test]
fn edge_21_restart_relist_and_a_new_leader_write_nothing() {
    let mut cluster = Cluster::new(&world());
    assert!(!cluster.news().is_empty());
    cluster.relist();
    assert_eq!(cluster.news(), [], "listed anew");
    cluster.restart();
    assert_eq!(cluster.news(), [], "started anew");
    assert_eq!(cluster.engine.outstanding_writes(), [], "another replica leads");
}

#[test]
fn edge_21_a_hundred_rapid_edits_write_what_changed() {
    let mut cluster = Cluster::new("");
    let edited = |at: usize| ingress("", &format!("rules: [{}]", rule(&format!("h{at}.example"))));
    cluster.apply(&edited(0));
    assert_eq!(cluster.news().len(), 3, "Service, slice and status");
    for at in 1..100 {
        cluster.apply(&edited(at));
    }
    assert_eq!(cluster.news(), [], "routes are nobody's object");
    // To and fro, each is one write and its way back.
    let typed = |type_: &str| {
        ingress(&format!("ingress.cilium.io/service-type: {type_}"), &format!("rules: [{}]", rule("a.example")))
    };
    for _ in 0..50 {
        cluster.apply(&typed("NodePort"));
        cluster.apply(&typed("LoadBalancer"));
    }
    let written = cluster.news();
    let services = written.iter().filter(|write| matches!(write, Write::Service(_))).count();
    assert_eq!((services, written.len()), (100, 200), "the Service and the status");
    cluster.restart();
    assert_eq!(cluster.news(), []);
}
