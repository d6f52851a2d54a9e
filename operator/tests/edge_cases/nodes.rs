//! Objects that are for some nodes only, while labels and selectors change.

use std::collections::BTreeSet;

use axoneme_operator::Kind;

use crate::build::*;
use crate::world::*;

fn node(name: &str, zone: &str) -> String {
    format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{zone: {zone}}}}}\n")
}

/// A config of everything that nodes get: a listener, a cluster with its backends, a secret, a redirect.
fn selective(selector: &str) -> String {
    let tls = "transport_socket: {name: tls, typed_config: {'@type': \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
               {validation_context_sds_secret_config: {name: ns/token}}}}";
    let tcp = "{name: tcp, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
               stat_prefix: s, cluster: c}}";
    let cluster = format!("{}\neds_cluster_config: {{service_name: 'ns/echo:80'}}\n{tls}", cluster("c"));
    config("ns", "x", &[listener_of("l", tcp, ""), cluster])
        + &format!("  services: [{{name: echo}}]\n  nodeSelector: {selector}\n")
}

fn cluster_of_two() -> String {
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: ns}\nstringData: {generic: x}\n";
    node("n1", "a")
        + &node("n2", "b")
        + &service("echo", "ports: [{name: web, port: 80}]")
        + &slice("echo", 1, "{name: web, port: 8080}", "{addresses: [10.0.0.1]}")
        + secret
}

const EVERYTHING: [&str; 5] =
    ["Cluster ns/x/c", "ClusterLoadAssignment ns/echo:80", "Listener ns/x/l", "Redirect ns/echo:80", "Secret ns/token"];

fn everything() -> BTreeSet<String> {
    EVERYTHING.map(str::to_owned).into()
}

#[test]
fn edge_09_a_node_leaves_as_cleanly_as_it_joins() {
    let mut world = World::new(&(cluster_of_two() + &selective("{matchLabels: {zone: a}}")));
    assert_told(&world.told(), &[]);
    assert_eq!((world.sent("n1"), world.sent("n2")), (everything(), BTreeSet::new()));

    // By its labels.
    assert_eq!(changed(&world.apply(&node("n1", "c"))), everything());
    assert_eq!((world.sent("n1"), world.sent("n2")), (BTreeSet::new(), BTreeSet::new()));
    assert_eq!(changed(&world.apply(&node("n2", "a"))), everything());
    assert_eq!((world.sent("n1"), world.sent("n2")), (BTreeSet::new(), everything()));
    assert_eq!(changed(&world.apply(&node("n2", "a"))), BTreeSet::new(), "the same labels again");

    // By the object.
    assert_eq!(
        changed(&world.apply(&selective("{matchExpressions: [{key: zone, operator: In, values: [c]}]}"))),
        everything()
    );
    assert_eq!((world.sent("n1"), world.sent("n2")), (everything(), BTreeSet::new()));

    // By going away.
    assert_eq!(changed(&world.delete(Kind::Node, "", "n1")), everything());
    assert_eq!((world.sent("n1"), world.sent("n2")), (BTreeSet::new(), BTreeSet::new()));
}

#[test]
fn edge_09_what_another_object_wants_stays_on_the_node() {
    let mut world = World::new(&(cluster_of_two() + &selective("{matchLabels: {zone: a}}")));
    world.apply(&config("ns", "y", &[cluster("'ns/echo:80'")]));
    let shared: BTreeSet<_> = ["Cluster ns/echo:80", "ClusterLoadAssignment ns/echo:80"].map(str::to_owned).into();
    assert_eq!(world.sent("n2"), shared);
    world.apply(&node("n1", "b"));
    assert_eq!(world.sent("n1"), shared);
}

#[test]
fn edge_09_an_invalid_selector_is_refused_with_its_path() {
    let mut world = World::new(&(cluster_of_two() + &selective("{matchLabels: {zone: a}}")));
    let at = "CiliumEnvoyConfig ns/x: spec.nodeSelector";
    let kept = "CiliumEnvoyConfig ns/x: the last good version of this object stays in force";
    for (selector, wrong) in [
        (
            "{matchExpressions: [{key: zone, operator: Is, values: [a]}]}",
            "matchExpressions[0].operator: \"Is\" is none of",
        ),
        ("{matchExpressions: [{key: zone, operator: In}]}", "matchExpressions[0].values: must not be empty"),
        (
            "{matchExpressions: [{key: zone, operator: Exists, values: [a]}]}",
            "matchExpressions[0].values: must be empty",
        ),
        ("{matchExpressions: [{key: \"a b\", operator: Exists}]}", "matchExpressions[0].key: \"a b\" is no label key"),
        (
            "{matchExpressions: [{key: a, operator: In, values: [b, /c]}]}",
            "matchExpressions[0].values[1]: \"/c\" is no",
        ),
        ("{matchLabels: {zone: \"a b\"}}", "matchLabels[\"zone\"]: \"a b\" is no label value"),
        ("{matchLabels: {\"zone/\": a}}", "matchLabels[\"zone/\"]: \"zone/\" is no label key"),
    ] {
        assert_eq!(changed(&world.apply(&selective(selector))), BTreeSet::new());
        assert_told(&world.told(), &[&format!("{at}.{wrong}"), kept]);
        assert_eq!((world.sent("n1"), world.sent("n2")), (everything(), BTreeSet::new()));
    }
    world.apply(&selective("{}"));
    assert_told(&world.told(), &[]);
    assert_eq!((world.sent("n1"), world.sent("n2")), (everything(), everything()), "empty means all");
}
