//! While there is no proxy, or none that listens.

use axoneme_api::intent::PROXY_AWAY;

use super::{
    model::{redirect_without_backends, resource},
    *,
};

/// A listener of Envoy's that has its routes, and what leads to it.
fn listener() -> [axoneme_xds::Resource; 2] {
    [resource(ROUTE, "r", "route"), resource(LISTENER, "l", fixtures::listener(&["r"], &[]))]
}

fn ingress() -> axoneme_xds::Resource {
    redirect_without_backends("ns/svc:80", "l", &["10.0.0.1:80"])
}

fn service() -> axoneme_xds::Resource {
    redirect("ns/svc:80", "l", &["10.0.0.1:80"])
}

fn is_shut(world: &World) -> bool {
    world.kernel.get(&address()).is_some_and(|entry| entry.proxy_port == 0)
}

fn is_open(world: &World) -> bool {
    world.kernel.get(&address()).is_some_and(|entry| entry.proxy_port != 0 && entry.state == FrontendState::On)
}

#[test]
fn an_address_without_backends_is_refused_until_somebody_listens() {
    let mut world = World::new();
    let ticket = world.put(ingress());
    assert!(is_shut(&world) && !world.settled.contains_key(&ticket), "without a listener");
    assert!(!world.core.summary().redirects[0].frontends[0].on);
    let [route, listener] = listener();
    world.put(resource(ROUTE, "r", "bad"));
    world.put(listener);
    world.envoy_answers_all();
    assert!(is_shut(&world), "its route is refused");
    world.put(route);
    world.envoy_answers_all();
    assert!(is_open(&world) && world.settled[&ticket].is_ok());

    // Its listener goes before it does: who is connected stays, and then nobody is let hang.
    world.remove(key(LISTENER, "l"));
    assert_eq!(world.kernel[&address()].state, FrontendState::Draining);
    world.drain_all();
    assert!(is_shut(&world));
    world.remove(key(intent::REDIRECT, "ns/svc:80"));
    world.drain_all();
    assert!(world.kernel.is_empty());
}

#[test]
fn a_service_with_backends_is_refused_only_while_there_is_no_envoy_if_at_all() {
    let mut world = World::new();
    world.envoy_goes();
    world.put(service());
    assert!(world.kernel.is_empty(), "it is reached around the proxy");

    let mut world = World::refusing();
    world.put(service());
    assert!(is_shut(&world), "Envoy never was there");
    world.envoy_connects();
    world.apply(Event::Quiet);
    assert!(is_shut(&world), "Envoy is there, and does not listen yet");
    for one in listener() {
        world.put(one);
    }
    world.envoy_answers_all();
    assert!(is_open(&world));

    // New beside an Envoy that runs: nobody is cut off while its listener is on the way.
    world.put(redirect("ns/new:80", "m", &["10.0.0.2:80"]));
    assert_eq!(world.kernel.len(), 1);
}

#[test]
fn the_operator_hears_when_envoy_is_away_and_when_it_is_back() {
    for (one, so) in [(ingress(), "are refused"), (service(), "go around it")] {
        let mut world = World::new();
        for one in listener() {
            world.put(one);
        }
        world.put(one.clone());
        world.envoy_answers_all();
        world.envoy_goes();
        assert!(world.taken_back.is_empty(), "a restart is no news");
        world.apply(Event::ProxyAway);
        assert_eq!(world.taken_back.remove(&one.key()), Some(None));
        let again = world.put(one.clone());
        let told = world.settled[&again].clone().unwrap_err();
        assert!(told.starts_with(PROXY_AWAY) && told.ends_with(so), "{told}");
        assert_eq!(world.core.summary().rejections[0].message, told);
        // An edit meanwhile is refused as well.
        let other = world.put(redirect("ns/other:80", "l", &["10.0.0.9:80"]));
        assert!(world.settled[&other].as_ref().is_err_and(|message| message.starts_with(PROXY_AWAY)));

        world.envoy_restarts();
        world.envoy_answers_all();
        assert!(is_open(&world) && world.core.summary().rejections.is_empty());
        assert_eq!(world.taken_back.remove(&one.key()), Some(None), "it is made to ask again");
        let back = world.put(one);
        assert_eq!(world.settled[&back], Ok(()));
    }
}
