//! Routes and new clusters.

use super::{
    model::{World, assignment, key, resource},
    *,
};

fn route(clusters: &[&str]) -> axoneme_xds::Resource {
    resource(ROUTE, "r", fixtures::route(clusters))
}

fn cluster(name: &str, content: &str) -> axoneme_xds::Resource {
    resource(CLUSTER, name, fixtures::cluster(name, content))
}

/// A listener with a route that Envoy has, and what Envoy is offered of the route.
fn served() -> World {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    world
}

fn leads_to(world: &World, clusters: &[&str]) -> bool {
    world.offer[&key(ROUTE, "r")] == route(clusters)
}

#[test]
fn a_route_waits_for_the_clusters_that_are_new() {
    let mut world = served();
    world.put(cluster("new", "e"));
    world.put(cluster("newer", "e"));
    world.put(assignment("e", 1));
    let ticket = world.put(route(&["c", "new", "newer"]));
    assert_eq!(world.offer[&key(ROUTE, "r")].body, "route", "what it was");
    world.envoy_answers_all();
    assert!(leads_to(&world, &["c", "new", "newer"]));
    assert_eq!(world.settled[&ticket], Ok(()));
}

#[test]
fn a_route_waits_for_no_other_cluster() {
    let mut world = served();
    world.put(cluster("new", "e"));
    // Changed, but there: the version before takes requests meanwhile.
    world.put(cluster("c", "e"));
    world.put(route(&["c", "nowhere"]));
    assert!(leads_to(&world, &["c", "nowhere"]));
}

#[test]
fn a_route_does_not_wait_for_a_cluster_that_is_refused_or_gone() {
    let mut world = served();
    world.put(cluster("new", "bad"));
    world.put(cluster("gone", "e"));
    world.put(route(&["new", "gone"]));
    world.envoy_answers();
    assert!(!leads_to(&world, &["new", "gone"]));
    world.remove(key(CLUSTER, "gone"));
    world.envoy_answers_all();
    assert!(leads_to(&world, &["new", "gone"]));
}

#[test]
fn a_route_does_not_wait_for_an_envoy_that_is_away() {
    let mut world = served();
    world.put(cluster("new", "e"));
    world.put(route(&["new"]));
    assert!(!leads_to(&world, &["new"]));
    world.envoy_goes();
    assert!(leads_to(&world, &["new"]), "it begins with the clusters");
}

#[test]
fn what_a_route_led_to_stays_while_the_next_version_waits() {
    let mut world = served();
    world.put(cluster("old", "e"));
    world.put(assignment("e", 1));
    world.envoy_answers_all();
    world.put(route(&["old"]));
    world.envoy_answers_all();
    world.put(cluster("new", "e"));
    world.put(route(&["new"]));
    world.remove(key(CLUSTER, "old"));
    assert!(world.offers(&key(CLUSTER, "old")) && leads_to(&world, &["old"]));
    world.rest();
    assert!(!world.offers(&key(CLUSTER, "old")) && leads_to(&world, &["new"]));
    assert_eq!(world.unsettled(), 0);
}

#[test]
fn a_listener_waits_for_its_clusters_too() {
    let mut world = World::new();
    world.put(cluster("new", "e"));
    let mut listener = fixtures::listener(&[], &[]);
    listener.extend(fixtures::route(&["new"]));
    world.put(resource(LISTENER, "l", listener));
    assert!(!world.offers(&key(LISTENER, "l")));
    world.envoy_answers_all();
    assert!(world.offers(&key(LISTENER, "l")));
}
