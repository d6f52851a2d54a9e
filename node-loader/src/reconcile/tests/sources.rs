//! Who may connect from outside. That nobody is refused while things change, the model checks at each step.

use axoneme_api::intent::{Frontend, REDIRECT, Redirect, SourceRange as Wanted};
use prost::Message as _;

use super::{model::resource, *};
use crate::datapath::{ServiceId, SourceRange, Sources};

/// A redirect of two addresses, of which the second has only `ranges` for clients, if there are any.
fn gated(ranges: &[&str]) -> axoneme_xds::Resource {
    let mut frontends = ["10.0.0.1:80", "203.0.113.7:80"].map(|address| Frontend::new(address.parse().unwrap()));
    frontends[1].listed_sources_only = !ranges.is_empty();
    let sources = ranges.iter().map(|text| Wanted::new(range(text).address(), range(text).length())).collect();
    let spec = Redirect { frontends: frontends.into(), listener: "l".to_owned(), sources, ..Redirect::default() };
    resource(REDIRECT, "ns/svc:80", spec.encode_to_vec())
}

fn range(text: &str) -> SourceRange {
    let (address, length) = text.split_once('/').unwrap();
    SourceRange::new(address.parse().unwrap(), length.parse().unwrap())
}

fn up() -> World {
    let mut world = World::new();
    for resource in web().into_iter().take(4).chain([gated(&["192.0.2.0/24"])]) {
        world.put(resource);
    }
    world.envoy_answers_all();
    world
}

#[test]
fn ranges_come_before_what_they_are_about_and_go_after_it() {
    let mut world = up();
    let sources = |world: &World| world.kernel.values().map(|entry| entry.sources).collect::<Vec<_>>();
    let listed = |world: &World| world.sources.get(&ServiceId(0)).cloned().unwrap_or_default();
    assert_eq!(sources(&world), [Sources::All, Sources::Listed]);
    assert_eq!(listed(&world), [range("192.0.2.0/24")].into());
    world.put(gated(&["198.51.100.0/24", "2001:db8::/32"]));
    assert_eq!(listed(&world), [range("198.51.100.0/24"), range("2001:db8::/32")].into());
    world.put(gated(&[]));
    assert_eq!((sources(&world), listed(&world).len()), (vec![Sources::All, Sources::All], 0));
    world.put(gated(&["192.0.2.0/24"]));
    assert_eq!(sources(&world), [Sources::All, Sources::Listed]);
    world.remove(key(REDIRECT, "ns/svc:80"));
    assert!(world.sources.is_empty());
    world.drain_all();
    assert!(world.kernel.is_empty());
}

#[test]
fn ranges_that_the_kernel_refuses_are_told_and_tried_again() {
    let mut world = up();
    let name: Arc<str> = "ns/svc:80".into();
    world.apply(Event::SourcesSet { name, result: Err("no room".to_owned()) });
    let told = |world: &World| world.core.summary().rejections.first().map(|it| it.message.clone());
    assert_eq!(told(&world).as_deref(), Some("sources: no room"));
    world.sources.clear();
    let ticket = world.put(gated(&["192.0.2.0/24"]));
    assert_eq!((world.settled[&ticket].clone(), told(&world)), (Ok(()), None));
    assert_eq!(world.sources[&ServiceId(0)], [range("192.0.2.0/24")].into());
}

#[test]
fn what_is_no_range_is_refused_with_its_field() {
    let mut world = up();
    let wrong = Wanted { address: vec![1, 2, 3, 4], length: 33 };
    let spec = Redirect { listener: "l".to_owned(), sources: vec![wrong], ..Redirect::default() };
    let ticket = world.put(resource(REDIRECT, "ns/svc:80", spec.encode_to_vec()));
    assert!(world.settled[&ticket].as_ref().is_err_and(|error| error.starts_with("sources: ")));
    assert_eq!(world.sources.len(), 1, "the last good version stays");
}
