//! 14: with `externalTrafficPolicy: Local` load balancers ask for nodes, and each node that serves has an endpoint.

use axoneme_operator::model::IngressDefaults;
use axoneme_operator::source::LoadBalancerAddress;
use axoneme_operator::{Kind, Name, Write};

use crate::cluster::{CLASS, Cluster};
use crate::world::{WEB, ingress, rule};

const LOCAL: &str = "ingress.cilium.io/service-external-traffic-policy: Local";
const SHARED: &str = "ingress.cilium.io/loadbalancer-mode: shared";

fn web(annotations: &str) -> String {
    ingress(annotations, &format!("rules: [{}]", rule("a.example")))
}

fn node(name: &str, address: &str, ready: &str) -> String {
    format!(
        "\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus: {{addresses: [{{type: InternalIP, address: \
         {address}}}], conditions: [{{type: Ready, status: {ready:?}}}]}}\n"
    )
}

/// Nobody expects a loader on the last one.
fn nodes() -> String {
    [("b", "10.0.0.2"), ("a", "10.0.0.1"), ("c", "10.0.0.3")]
        .map(|(name, address)| node(name, address, "True"))
        .concat()
}

/// The endpoints of each slice that was written, as `ADDRESS@NODE`.
fn slices(written: &[Write]) -> Vec<Vec<String>> {
    let endpoints = |write: &Write| match write {
        Write::EndpointSlice(slice) => {
            let endpoints = slice.to_object().endpoints.unwrap_or_default();
            let text = |it: &k8s_openapi::api::discovery::v1::Endpoint| {
                format!("{}@{}", it.addresses.join(","), it.node_name.as_deref().unwrap_or_default())
            };
            Some(endpoints.iter().map(text).collect())
        }
        _ => None,
    };
    written.iter().filter_map(endpoints).collect()
}

const NOWHERE: &str = "192.192.192.192@";

#[test]
fn edge_14_each_node_that_serves_has_an_endpoint() {
    let mut cluster = Cluster::new(&[&web(LOCAL), &nodes()].map(String::as_str).concat());
    assert_eq!(slices(&cluster.news()), [["198.18.0.1@a", "198.18.0.2@b"]]);
    cluster.relist();
    cluster.restart();
    assert_eq!(cluster.news(), [], "what stands is not written again");

    // A node says more than that it serves.
    cluster.apply(&node("a", "10.0.0.9", "True"));
    assert_eq!(cluster.news(), []);
    cluster.apply(&node("a", "10.0.0.9", "False"));
    assert_eq!(slices(&cluster.news()), [["198.18.0.1@b"]]);
    cluster.apply(&node("a", "10.0.0.9", "True"));
    assert_eq!(slices(&cluster.news()), [["198.18.0.1@a", "198.18.0.2@b"]]);
    // A loader comes, and one goes.
    assert_eq!(
        slices(&cluster.engine.expect_nodes(["b", "c"].map(Into::into).into())),
        [["198.18.0.1@b", "198.18.0.2@c"]]
    );
}

#[test]
fn edge_14_without_local_traffic_nodes_cost_nothing() {
    let mut cluster = Cluster::new(&[&web(""), &nodes()].map(String::as_str).concat());
    assert_eq!(slices(&cluster.news()), [[NOWHERE]]);
    cluster.apply(&node("a", "10.0.0.1", "False"));
    assert_eq!(cluster.engine.expect_nodes(["b", "c"].map(Into::into).into()), []);
    assert_eq!(cluster.news(), []);
}

#[test]
fn edge_14_the_policy_comes_and_goes() {
    let mut cluster = Cluster::new(&[&web(""), &nodes()].map(String::as_str).concat());
    let policies = |cluster: &mut Cluster, annotations: &str| {
        cluster.news();
        cluster.apply(&web(annotations));
        let written = cluster.news();
        let service = written.iter().find_map(|write| match write {
            Write::Service(service) => service.to_object().spec,
            _ => None,
        });
        let service = service.unwrap();
        (service.external_traffic_policy, service.internal_traffic_policy, slices(&written))
    };
    let local = || Some("Local".to_owned());
    let endpoints = vec![vec!["198.18.0.1@a".to_owned(), "198.18.0.2@b".to_owned()]];
    assert_eq!(policies(&mut cluster, LOCAL), (local(), local(), endpoints));
    // A field that is not written is the API server's again: Cluster.
    assert_eq!(policies(&mut cluster, ""), (Some("Cluster".to_owned()), None, vec![vec![NOWHERE.to_owned()]]));
}

#[test]
fn edge_14_nothing_is_written_while_nobody_knows_who_serves() {
    let mut engine = axoneme_operator::Engine::new();
    let text = [CLASS, &web(LOCAL), &nodes(), WEB].concat();
    let objects = crate::support::text(&text);
    let written: Vec<_> = objects.resets().into_iter().flat_map(|event| engine.apply(event).writes).collect();
    assert_eq!((written.len(), slices(&written)), (1, vec![]), "its Service alone: {written:?}");
    assert_eq!(slices(&engine.expect_nodes(["a"].map(Into::into).into())), [["198.18.0.1@a"]]);
}

#[test]
fn edge_14_the_shared_service_has_the_operators_policy() {
    let defaults = IngressDefaults { shared_local_traffic_only: true, ..IngressDefaults::default() };
    let given = |_: &Name| vec![LoadBalancerAddress::ip("192.0.2.1")];
    let text = [CLASS, &web(SHARED), &nodes(), WEB].concat();
    let mut cluster = Cluster::with(defaults, given, &text);
    assert_eq!(slices(&cluster.news()), [["198.18.0.1@a", "198.18.0.2@b"]]);
    assert_eq!(slices(&cluster.engine.expect_nodes(["b"].map(Into::into).into())), [["198.18.0.1@b"]]);
    cluster.delete(Kind::Node, "", "b");
    assert_eq!(slices(&cluster.news()), [Vec::<String>::new()], "no node, no endpoint");
}
