//! Versions that Envoy dies of.

use std::sync::Arc;

use axoneme_api::intent::PROXY_CRASHED;

use super::{model::key, *};

fn version(world: &World) -> Arc<str> {
    world.core.origin(&key(CLUSTER, "c")).unwrap().clone()
}

fn proven(world: &mut World) {
    let version = version(world);
    world.apply(Event::Proven { key: key(CLUSTER, "c"), version });
}

/// A cluster of which one version is proven, and another one that Envoy has accepted.
fn world() -> (World, Ticket) {
    let mut world = World::new();
    world.put(resource(CLUSTER, "c", fixtures::cluster("c", "good")));
    world.envoy_answers_all();
    proven(&mut world);
    let ticket = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "deadly")));
    world.envoy_answers_all();
    (world, ticket)
}

fn offered(world: &World) -> Option<&[u8]> {
    world.offer.get(&key(CLUSTER, "c")).map(|resource| &*resource.body)
}

#[test]
fn what_is_held_back_falls_back_and_nobody_is_told() {
    let (mut world, ticket) = world();
    let (key, version) = (key(CLUSTER, "c"), version(&world));
    world.apply(Event::Hold { key: key.clone(), version });
    assert_eq!(offered(&world), Some(&*fixtures::cluster("c", "good")));
    assert_eq!(world.settled[&ticket], Ok(()));
    assert_eq!(world.core.summary().held_back, ["c"]);
    world.apply(Event::Release { key });
    assert_eq!(offered(&world), Some(&*fixtures::cluster("c", "deadly")));
    assert!(world.core.summary().held_back.is_empty() && world.taken_back.is_empty());
}

#[test]
fn an_accepted_version_that_kills_later_is_taken_back() {
    let (mut world, _) = world();
    let (key, deadly) = (key(CLUSTER, "c"), version(&world));
    world.apply(Event::Hold { key: key.clone(), version: deadly.clone() });
    world.apply(Event::Crashed { key: key.clone(), version: deadly });
    let good = fixtures::cluster("c", "good");
    assert_eq!((offered(&world), &*world.disk[&key].resource.body), (Some(&*good), &*good));
    assert_eq!(world.taken_back[&key], Some(version(&world)));

    // The operator sends it again, and hears why not.
    let again = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "deadly")));
    assert!(world.settled[&again].as_ref().is_err_and(|message| message.starts_with(PROXY_CRASHED)));
    let better = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "better")));
    world.envoy_answers_all();
    assert_eq!(world.settled[&better], Ok(()));
    assert!(world.core.summary().rejections.is_empty());
}

#[test]
fn a_first_version_that_kills_is_gone() {
    let mut world = World::new();
    let ticket = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "deadly")));
    let (key, version) = (key(CLUSTER, "c"), version(&world));
    world.apply(Event::Crashed { key: key.clone(), version });
    assert!(world.settled[&ticket].as_ref().is_err_and(|message| message.starts_with(PROXY_CRASHED)));
    assert!(!world.offers(&key) && !world.disk.contains_key(&key) && world.taken_back.is_empty());
    world.remove(key);
    assert!(world.core.crashes.is_empty() && world.core.items.is_empty());
}

#[test]
fn a_route_that_is_held_back_takes_its_new_listener_along_and_brings_it_back() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    let (route, listener) = (key(ROUTE, "r"), key(LISTENER, "l"));
    let version = world.core.origin(&route).unwrap().clone();
    world.apply(Event::Hold { key: route.clone(), version });
    assert!(!world.offers(&listener) && !world.offers(&route));
    world.envoy_answers_all();
    world.apply(Event::Release { key: route });
    world.envoy_answers_all();
    assert_eq!((world.kernel[&address()].state, world.unsettled()), (FrontendState::On, 0));
}

#[test]
fn a_restart_offers_nothing_that_kills() {
    let (mut world, _) = world();
    let (key, deadly) = (key(CLUSTER, "c"), version(&world));
    world.apply(Event::Crashed { key: key.clone(), version: deadly.clone() });
    let mut again = World::restarted(BTreeMap::new(), world.disk.values().cloned().collect());
    again.apply(Event::Crashed { key, version: deadly });
    assert_eq!(offered(&again), Some(&*fixtures::cluster("c", "good")));
    let ticket = again.put(resource(CLUSTER, "c", fixtures::cluster("c", "deadly")));
    assert!(again.settled[&ticket].is_err());
    assert_eq!(offered(&again), Some(&*fixtures::cluster("c", "good")));
}
