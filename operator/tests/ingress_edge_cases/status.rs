//! 21: what `status.loadBalancer` shows, in every mode, and when it is written.

use axoneme_operator::model::IngressDefaults;
use axoneme_operator::source::{LoadBalancerAddress, PortStatus};
use axoneme_operator::{Kind, Name, Object, Write};

use crate::cluster::{CLASS, Cluster};
use crate::world::{WEB, ingress, rule};

fn web(annotations: &str) -> String {
    ingress(annotations, &format!("rules: [{}]", rule("a.example")))
}

const NODE_PORT: &str = "ingress.cilium.io/service-type: NodePort";

/// A node with an internal address, and perhaps an external one.
fn node(name: &str, internal: &str, external: Option<&str>, ready: &str) -> String {
    let external = external.map(|it| format!(", {{type: ExternalIP, address: {it:?}}}")).unwrap_or_default();
    format!(
        "\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{name: {name}}}}}\nstatus: {{addresses: [{{type: \
         InternalIP, address: {internal:?}}}{external}], conditions: [{{type: Ready, status: {ready:?}}}]}}\n"
    )
}

fn nodes() -> String {
    let (a, b) = (node("a", "10.0.0.1", None, "True"), node("b", "10.0.0.2", Some("198.51.100.2"), "True"));
    // Nobody expects a loader on this one.
    [a, b, node("c", "10.0.0.3", None, "True")].concat()
}

fn statuses(writes: &[Write]) -> Vec<&Name> {
    let mut names = Vec::new();
    for write in writes {
        let Write::IngressStatus { ingress, .. } = write else { panic!("{write:?}") };
        names.push(ingress);
    }
    names
}

#[test]
fn edge_21_address_name_and_ports_with_their_errors_are_copied() {
    let given = |_: &Name| {
        let port = PortStatus { port: 443, protocol: "TCP".to_owned(), error: Some("example.com/Taken".to_owned()) };
        let name = LoadBalancerAddress { hostname: Some("lb.example".to_owned()), ..LoadBalancerAddress::default() };
        vec![LoadBalancerAddress { ports: vec![port], ..LoadBalancerAddress::ip("192.0.2.9") }, name]
    };
    let text = [CLASS, &web(""), WEB].concat();
    let mut cluster = Cluster::with(IngressDefaults::default(), given, &text);
    assert_eq!(cluster.ingress("web").load_balancer, given(&Name::new("", "")));
    cluster.news();

    // The same once more, from any side.
    let ingress = cluster.ingress("web");
    cluster.put(Object::Ingress(ingress));
    cluster.relist();
    assert_eq!(cluster.news(), []);
}

#[test]
fn edge_21_without_a_service_it_is_empty() {
    let mut cluster = Cluster::new(&web(""));
    assert_eq!(cluster.shown("web").len(), 1);
    cluster.news();
    // Somebody deletes the Service: it comes back, and its address with it.
    cluster.delete(Kind::Service, "shop", "cilium-ingress-web");
    let written = cluster.news();
    assert!(matches!(&written[0], Write::Service(_)), "{written:?}");
    assert!(
        written.iter().any(|write| matches!(write, Write::IngressStatus { addresses, .. } if addresses.is_empty())),
        "{written:?}"
    );
    assert_eq!(cluster.shown("web").len(), 1);
}

#[test]
fn edge_21_with_node_ports_it_shows_the_nodes_that_serve() {
    let mut cluster = Cluster::new(&[web(NODE_PORT), nodes()].concat());
    assert_eq!(cluster.shown("web"), ["10.0.0.1", "198.51.100.2"], "external before internal, and c has no loader");
    cluster.news();

    // The kubelet says every few minutes that nothing happened.
    cluster.apply(&nodes());
    assert_eq!(cluster.news(), []);
    cluster.apply(&node("b", "10.0.0.2", Some("198.51.100.2"), "False"));
    assert_eq!((cluster.shown("web"), cluster.news().len()), (vec!["10.0.0.1".to_owned()], 1));
    cluster.apply(&node("b", "10.0.0.2", Some("198.51.100.3"), "True"));
    assert_eq!(cluster.shown("web"), ["10.0.0.1", "198.51.100.3"]);
    cluster.delete(Kind::Node, "", "a");
    assert_eq!(cluster.shown("web"), ["198.51.100.3"]);
    cluster.news();
    // A new loader.
    let written = cluster.engine.expect_nodes(["b", "c"].map(Into::into).into());
    assert_eq!(statuses(&written), [&Name::new("shop", "web")]);
    assert_eq!(cluster.engine.expect_nodes(["b", "c"].map(Into::into).into()), []);
}

#[test]
fn edge_21_a_node_costs_those_that_show_it() {
    let other = web("").replace("name: web, namespace", "name: balanced, namespace");
    let mut cluster = Cluster::new(&[web(NODE_PORT), other, nodes()].concat());
    cluster.news();
    cluster.apply(&node("a", "10.0.0.9", None, "True"));
    assert_eq!(statuses(&cluster.news()), [&Name::new("shop", "web")]);
    // Not any more.
    cluster.apply(&web(""));
    cluster.news();
    cluster.apply(&node("a", "10.0.0.1", None, "True"));
    assert_eq!(cluster.news(), []);
}

#[test]
fn edge_21_nothing_is_shown_before_it_is_known_which_nodes_serve() {
    let mut cluster = Cluster::new(&[web(NODE_PORT), nodes()].concat());
    let shown = cluster.shown("web");
    cluster.news();
    // The list of loaders comes last.
    cluster.engine = axoneme_operator::Engine::new();
    cluster.relist();
    assert_eq!((cluster.news(), cluster.shown("web")), (Vec::new(), shown));
    assert_eq!(cluster.engine.expect_nodes(["a", "b"].map(Into::into).into()), []);
}
