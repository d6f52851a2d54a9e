//! The core against a model of Envoy and of the kernel.

mod away;
mod crash;
mod model;
mod properties;
mod sources;
mod warming;

use std::net::SocketAddr;

use axoneme_api::intent;
use axoneme_xds::type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET};

use super::*;
use crate::{
    datapath::{FrontendState, OnProxyFailure as OnFailure},
    references::fixtures,
};
use model::{World, assignment, key, redirect, resource};

fn web() -> Vec<axoneme_xds::Resource> {
    vec![
        resource(CLUSTER, "c", fixtures::cluster("c", "ns/svc:80")),
        assignment("ns/svc:80", 1),
        resource(ROUTE, "r", "route"),
        resource(LISTENER, "l", fixtures::listener(&["r"], &[])),
        redirect("ns/svc:80", "l", &["10.0.0.1:80"]),
    ]
}

fn address() -> SocketAddr {
    "10.0.0.1:80".parse().unwrap()
}

#[test]
fn everything_comes_up_in_order_and_goes_down_in_reverse() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    assert!(!world.kernel.contains_key(&address()), "nothing listens yet");
    world.envoy_answers_all();
    let entry = world.kernel[&address()];
    assert_eq!((entry.state, entry.on_proxy_failure), (FrontendState::On, OnFailure::Bypass));
    assert_eq!(world.unsettled(), 0);
    assert_eq!(world.disk.len(), 5);

    for resource in web().into_iter().rev() {
        world.remove(resource.key());
    }
    assert_eq!(world.kernel[&address()].state, FrontendState::Draining);
    assert!(world.offers(&key(LISTENER, "l")), "connections may be alive");
    world.drain_all();
    world.envoy_answers_all();
    assert_eq!((world.kernel.len(), world.offer.len(), world.unsettled(), world.disk.len()), (0, 0, 0, 0));
    assert!(world.core.ports.get("l").is_none());
}

#[test]
fn a_listener_whose_connections_had_their_time_goes_and_the_kernel_still_carries_them() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    let port = world.kernel[&address()].proxy_port;
    for resource in web().into_iter().rev() {
        world.remove(resource.key());
    }
    world.expire();
    world.envoy_answers_all();
    assert!(!world.offers(&key(LISTENER, "l")), "Envoy is to ask them to go");
    assert_eq!(world.kernel[&address()].state, FrontendState::Draining);
    assert_eq!(world.core.draining().next(), Some((address(), Some(&"ns/svc:80".into()))));

    // It is wanted again, while the last of the old connections are at the old listener.
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    let entry = world.kernel[&address()];
    assert_eq!((entry.proxy_port, entry.state), (port, FrontendState::On));
    for resource in web().into_iter().rev() {
        world.remove(resource.key());
    }
    world.expire();
    world.drain_all();
    world.envoy_answers_all();
    assert_eq!((world.kernel.len(), world.offer.len(), world.core.services().count()), (0, 0, 0));
}

#[test]
fn what_the_kernel_leads_to_is_found_again_at_every_moment() {
    let mut world = World::new();
    let secret = resource(SECRET, "s", "secret");
    let tls = resource(LISTENER, "l", fixtures::listener(&["r"], &["s"]));
    for resource in web().into_iter().filter(|one| &*one.type_url != LISTENER).chain([secret, tls]) {
        world.put(resource);
    }
    while world.envoy_answers() {
        let records: Vec<Record> = world.disk.values().cloned().collect();
        let mut again = World::restarted(world.kernel.clone(), records);
        again.envoy_answers_all();
        let restored = [key(LISTENER, "l"), key(ROUTE, "r"), key(SECRET, "s")].iter().all(|key| again.offers(key));
        assert!(world.kernel.is_empty() || restored, "a restart lacks a part: {:?}", world.disk.keys());
    }
    assert_eq!(world.kernel[&address()].state, FrontendState::On);
}

#[test]
fn a_listener_waits_for_its_routes() {
    let mut world = World::new();
    world.put(resource(LISTENER, "l", fixtures::listener(&["r"], &[])));
    assert!(!world.offers(&key(LISTENER, "l")));
    assert_eq!(world.core.summary().listeners[0].waits_for, ["r"]);
    world.put(resource(ROUTE, "r", "route"));
    assert!(world.offers(&key(LISTENER, "l")));
}

#[test]
fn a_refused_update_leaves_the_good_version_and_says_why() {
    let mut world = World::new();
    world.put(resource(CLUSTER, "c", fixtures::cluster("c", "good")));
    world.envoy_answers_all();
    let ticket = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "bad")));
    world.put(resource(CLUSTER, "d", fixtures::cluster("d", "good")));
    world.envoy_answers_all();
    assert_eq!(world.settled[&ticket], Err("model says no".to_owned()));
    let good = fixtures::cluster("c", "good");
    assert_eq!(world.offer[&key(CLUSTER, "c")].body, good);
    assert_eq!(world.disk[&key(CLUSTER, "c")].resource.body, good);
    assert!(world.offers(&key(CLUSTER, "d")));

    // It is not offered again, and the answer is the same.
    let again = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "bad")));
    assert_eq!(world.settled[&again], Err("model says no".to_owned()));
    let better = world.put(resource(CLUSTER, "c", fixtures::cluster("c", "better")));
    world.envoy_answers_all();
    assert_eq!(world.settled[&better], Ok(()));
    assert!(world.core.summary().rejections.is_empty());
}

#[test]
fn a_first_version_that_is_refused_is_taken_back() {
    let mut world = World::new();
    for one in web().into_iter().filter(|one| &*one.type_url != ROUTE) {
        world.put(one);
    }
    world.put(resource(ROUTE, "r", "bad"));
    world.envoy_answers_all();
    assert!(!world.offers(&key(ROUTE, "r")) && !world.offers(&key(LISTENER, "l")));
    world.put(resource(ROUTE, "r", "fine"));
    world.envoy_answers_all();
    assert_eq!(world.kernel[&address()].state, FrontendState::On);
}

#[test]
fn edge_11_a_port_that_is_stolen_after_the_check_moves_the_listener_and_everything_with_it() {
    let mut world = World::new();
    let first = Ports::new(PortRange::DEFAULT).allocate(&"l".into(), &|_| true).unwrap();
    world.foreign.insert(first);
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    let port = world.kernel[&address()].proxy_port;
    assert_ne!(port, first);
    assert_eq!(world.core.ports.get("l"), Some(port));
    assert_eq!(world.disk[&key(LISTENER, "l")].number, u32::from(port));
    assert_eq!(world.unsettled(), 0);
}

#[test]
fn edge_11_no_port_left_is_reported_and_cured_by_the_next_release() {
    let mut world = World::with_ports("10000-10000");
    world.put(resource(LISTENER, "a", fixtures::listener(&[], &[])));
    world.envoy_answers_all();
    let ticket = world.put(resource(LISTENER, "b", fixtures::listener(&[], &[])));
    assert!(world.settled[&ticket].as_ref().is_err_and(|error| error.contains("no free proxy port in 10000-10000")));
    world.apply(Event::LookForPorts);
    assert!(world.core.starves() && world.taken_back.is_empty(), "there is still none");
    world.remove(key(LISTENER, "a"));
    world.envoy_answers_all();
    assert_eq!((world.core.ports.get("b"), world.core.starves()), (Some(10_000), false));
    // The operator, who was told that it is refused, asks again and is told that it is not.
    assert_eq!(world.taken_back, [(key(LISTENER, "b"), None)].into());
    let again = world.put(resource(LISTENER, "b", fixtures::listener(&[], &[])));
    assert_eq!(world.settled[&again], Ok(()));
}

#[test]
fn what_nobody_refers_to_is_settled_when_the_operator_is_quiet() {
    let mut world = World::new();
    let ticket = world.put(assignment("ns/unused:80", 1));
    world.envoy_answers_all();
    assert!(!world.settled.contains_key(&ticket));
    world.apply(Event::Quiet);
    assert_eq!(world.settled[&ticket], Ok(()));
}

#[test]
fn node_ports_follow_the_nodes_addresses() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    let spec = intent::Redirect { node_ports: vec![30_080], listener: "l".to_owned(), ..intent::Redirect::default() };
    world.put(resource(intent::REDIRECT, "ns/np:80", prost::Message::encode_to_vec(&spec)));
    world.envoy_answers_all();
    world.apply(Event::NodeAddresses(vec!["192.0.2.1".parse().unwrap(), "fd00::1".parse().unwrap()]));
    for address in ["192.0.2.1:30080", "[fd00::1]:30080"] {
        assert_eq!(world.kernel[&address.parse().unwrap()].state, FrontendState::On, "{address}");
    }
    world.apply(Event::NodeAddresses(vec!["192.0.2.2".parse().unwrap()]));
    world.drain_all();
    assert_eq!(world.kernel.keys().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:80", "192.0.2.2:30080"]);
}

#[test]
fn an_address_has_one_owner_and_the_other_is_told() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    let ticket = world.put(redirect("ns/zzz:80", "l", &["10.0.0.1:80"]));
    assert_eq!(world.settled[&ticket], Err("10.0.0.1:80 belongs to redirect ns/svc:80".to_owned()));
}

#[test]
fn a_listener_with_an_address_of_its_own_takes_no_redirects() {
    let mut world = World::new();
    // Field 2, `address`, present and empty.
    world.put(resource(LISTENER, "l", vec![0x12, 0x00]));
    let ticket = world.put(redirect("ns/svc:80", "l", &["10.0.0.1:80"]));
    world.envoy_answers_all();
    assert!(world.settled[&ticket].as_ref().is_err_and(|error| error.contains("address of its own")));
    assert!(world.kernel.is_empty());
}

#[test]
fn bytes_that_cannot_be_read_change_nothing() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    world.envoy_answers_all();
    let offer = world.offer.clone();
    for bad in [resource(LISTENER, "l", vec![0x1a, 0xff]), resource(intent::REDIRECT, "ns/svc:80", vec![0xff])] {
        let ticket = world.put(bad);
        assert!(world.settled[&ticket].is_err());
    }
    assert_eq!(world.offer, offer);
    assert_eq!(world.kernel[&address()].state, FrontendState::On);
}

#[test]
fn a_cluster_stays_while_a_refused_listener_leaves_its_old_self_in_force() {
    let mut world = World::new();
    let mut old = fixtures::listener(&[], &[]);
    old.extend([0x0a, 4]);
    old.extend(b"ns/c");
    world.put(resource(CLUSTER, "ns/c", fixtures::cluster("ns/c", "")));
    world.put(resource(LISTENER, "l", old));
    world.envoy_answers_all();
    let mut bad = fixtures::listener(&[], &[]);
    bad.extend([0x0a, 3]);
    bad.extend(b"bad");
    world.put(resource(LISTENER, "l", bad));
    world.remove(key(CLUSTER, "ns/c"));
    world.envoy_answers_all();
    assert!(world.offers(&key(CLUSTER, "ns/c")));
    world.put(resource(LISTENER, "l", fixtures::listener(&[], &[])));
    world.envoy_answers_all();
    assert!(!world.offers(&key(CLUSTER, "ns/c")));
}

#[test]
fn a_leftover_goes_once_the_operator_is_quiet() {
    let entry = Entry {
        proxy_port: 10_000,
        state: FrontendState::On,
        on_proxy_failure: OnFailure::Bypass,
        service: crate::datapath::ServiceId(0),
        sources: crate::datapath::Sources::All,
    };
    let mut world = World::restarted(BTreeMap::from([(address(), entry)]), Vec::new());
    assert_eq!(world.kernel[&address()].state, FrontendState::On);
    world.apply(Event::Quiet);
    assert_eq!(world.kernel[&address()].state, FrontendState::Draining);
    world.drain_all();
    assert!(world.kernel.is_empty());
}

#[test]
fn removal_of_what_was_never_there_is_agreed_to() {
    let mut world = World::new();
    for key in [key(ENDPOINTS, "x"), key(LISTENER, "x"), key(intent::REDIRECT, "x")] {
        let ticket = world.remove(key);
        assert_eq!(world.settled[&ticket], Ok(()));
    }
}

#[test]
fn edge_11_an_answer_that_never_comes_is_shown_and_nobody_waits_for_it() {
    let mut world = World::new();
    for resource in web() {
        world.put(resource);
    }
    world.put(resource(CLUSTER, "old", fixtures::cluster("old", "")));
    world.envoy_answers_all();
    // Envoy takes no notice of this one, whose routes may be in use until it does.
    let (key, silent) = (key(LISTENER, "m"), fixtures::listener(&["r"], &[]));
    let open = world.put(resource(LISTENER, "m", silent));
    let gone = world.remove(model::key(CLUSTER, "old"));
    assert!(!world.settled.contains_key(&gone) && world.core.summary().unanswered.is_empty());
    let version = world.offer[&key].version.clone();
    world.apply(Event::Overdue { key, version });
    assert_eq!((world.settled.get(&gone), world.settled.get(&open)), (Some(&Ok(())), None));
    assert_eq!(world.core.summary().unanswered, ["m"]);

    // It counts all the same when it comes.
    world.envoy_answers_all();
    assert_eq!(world.settled.get(&open), Some(&Ok(())));
    assert!(world.core.summary().unanswered.is_empty());
}
