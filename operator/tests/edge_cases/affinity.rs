//! `sessionAffinity: ClientIP` of the Services that an object lists.

use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_xds::View as _;

use crate::build::*;
use crate::world::*;

const ECHO: &str = "clusterIP: 10.96.0.7, ports: [{port: 80}]";
const KEEPING: &str = "clusterIP: 10.96.0.7, ports: [{port: 80}], sessionAffinity: ClientIP";

/// Whether clients of a cluster stay with their endpoint.
fn keeps(world: &World, cluster: &str) -> bool {
    let kind = ResourceKind::Cluster;
    let resource = world.engine.intents().view("node").get(kind.type_url(), cluster).unwrap();
    let json = EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap();
    json["load_balancing_policy"].to_string().contains("source_ip")
}

#[test]
fn clients_stay_with_their_backend_when_the_service_says_so() {
    let mut world = World::new(&(proxy("ns", "x", "", "[{name: echo}]", "ns/echo:80") + &service("echo", ECHO)));
    assert!(!keeps(&world, "ns/echo:80"));
    let changes = world.apply(&service("echo", KEEPING));
    assert_eq!(changed(&changes), ["Cluster ns/echo:80".to_owned()].into(), "nothing else changes");
    assert!(keeps(&world, "ns/echo:80"));
    world.apply(&service("echo", ECHO));
    assert!(!keeps(&world, "ns/echo:80"));
}

#[test]
fn what_a_cluster_says_itself_stays_and_so_does_what_the_object_does_not_list() {
    let own = cluster("\"ns/echo:80\"") + "\nlbPolicy: LEAST_REQUEST";
    let open = cluster("\"ns/echo\"");
    let listed = config("ns", "x", &[own, open]) + "  backendServices: [{name: echo, namespace: ns}]\n";
    let unlisted = config("ns", "y", &[cluster("\"ns/echo:*\"")]);
    let world = World::new(&(listed + &unlisted + &service("echo", KEEPING)));
    let found = ["ns/echo:80", "ns/echo", "ns/echo:*"].map(|name| keeps(&world, name));
    assert_eq!(found, [false, true, false]);
}
