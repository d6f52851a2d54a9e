//! An Envoy that dies of some versions, against what must come of it.

mod model;
mod properties;

use super::*;
use model::{World, key};

#[test]
fn who_is_alone_with_two_deaths_is_quarantined() {
    let mut world = World::new(&["l2"]);
    world.wish("l1", "1");
    world.rest();
    world.wish("l2", "1");
    world.rest();
    assert_eq!(world.deaths, 2);
    assert_eq!(world.quarantined(), ["l2"]);
    assert_eq!(world.running(), ["l1"]);
}

#[test]
fn among_many_it_is_found_by_what_envoy_had_not_accepted() {
    let mut world = World::new(&["l50"]);
    for n in 0..100 {
        world.wish(&format!("l{n}"), "1");
    }
    world.rest();
    assert_eq!(world.quarantined(), ["l50"]);
    assert_eq!(world.running().len(), 99);
    // Half of the rest had not been looked at either.
    assert!(world.deaths <= 2 + 7, "{} deaths", world.deaths);
}

#[test]
fn one_that_kills_later_than_it_is_accepted_is_found_as_well() {
    let mut world = World::new(&["c3"]);
    world.late = Duration::from_secs(2);
    for n in 0..8 {
        world.wish(&format!("c{n}"), "1");
    }
    world.rest();
    assert_eq!(world.quarantined(), ["c3"]);
    assert_eq!(world.running().len(), 7);
    assert!(world.deaths <= 2 + 3, "{} deaths", world.deaths);
}

#[test]
fn of_a_cluster_that_kills_with_its_endpoints_the_cluster_is_to_blame() {
    for late in [Duration::ZERO, Duration::from_millis(50)] {
        let mut world = World::new(&["c2+e2"]);
        world.late = late;
        for n in 0..4 {
            world.wish(&format!("c{n}"), "1");
            world.wish(&format!("e{n}"), "1");
            world.wish(&format!("l{n}"), "1");
        }
        world.rest();
        assert_eq!((world.quarantined(), world.offered("e2")), (vec!["c2".to_owned()], Some("1")));
        assert!(world.deaths <= 2 + 4, "{} deaths", world.deaths);
    }
}

#[test]
fn the_last_good_version_stays_and_a_new_one_gets_a_chance() {
    let mut world = World::new(&["l1:bad"]);
    world.wish("l1", "good");
    world.rest();
    world.wish("l1", "bad");
    world.rest();
    assert_eq!(world.offered("l1"), Some("good"));
    assert_eq!(world.quarantined(), ["l1"]);
    world.wish("l1", "better");
    world.rest();
    assert_eq!((world.offered("l1"), world.quarantined().len()), (Some("better"), 0));
    assert!(world.files.is_empty(), "{:?}", world.files);
}

#[test]
fn a_restart_with_nothing_on_trial_is_nobodys_fault() {
    let mut world = World::new(&[]);
    world.wish("l1", "1");
    world.rest();
    for _ in 0..5 {
        world.kill();
        world.rest();
    }
    assert_eq!((world.running(), world.quarantined().len()), (vec!["l1".to_owned()], 0));
}

#[test]
fn one_death_holds_nothing_back() {
    let mut world = World::new(&[]);
    for name in ["c1", "l1"] {
        world.wish(name, "1");
    }
    world.kill();
    assert_eq!((world.offered("c1"), world.offered("l1")), (Some("1"), Some("1")));
    world.rest();
    assert!(world.quarantined().is_empty() && world.files.is_empty());
}

#[test]
fn a_stream_that_ended_is_no_death() {
    let mut world = World::new(&[]);
    world.wish("l1", "1");
    for _ in 0..5 {
        world.stream_ends();
    }
    world.rest();
    assert_eq!((world.running(), world.quarantined().len()), (vec!["l1".to_owned()], 0));
}

#[test]
fn deaths_that_are_far_apart_are_two_cases() {
    let mut quarantine = Quarantine::default();
    let (key, version): (Key, Arc<str>) = (key("e1"), "1".into());
    let start = Instant::now();
    // Nobody refers to it, so Envoy never answers.
    quarantine.offer(&key, &version, &version, start);
    quarantine.died(start);
    let verdict = quarantine.died(start + WINDOW * 2);
    assert!(verdict.hold.is_empty() && verdict.quarantine.is_empty(), "{verdict:?}");
}

#[test]
fn what_is_known_outlives_the_loader() {
    let mut world = World::new(&["l3"]);
    for n in 0..8 {
        world.wish(&format!("l{n}"), "1");
    }
    while world.deaths < 2 {
        world.step();
    }
    world.loader_restarts();
    world.rest();
    assert_eq!(world.quarantined(), ["l3"]);
    world.loader_restarts();
    world.rest();
    assert_eq!((world.quarantined(), world.running().len()), (vec!["l3".to_owned()], 7));
    let deaths = world.deaths;
    assert!(deaths <= 2 + 4, "{deaths} deaths");
}
