use axoneme_xds::{View, type_urls::CLUSTER};

use super::*;
use crate::source::{Kind, Selector};

fn owner(name: &str, created: i64) -> Rank {
    (created, ObjectKey::new(Kind::CiliumEnvoyConfig, "default", name))
}

fn zone(zone: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("zone".to_owned(), zone.to_owned())])
}

fn only(label: &str) -> Arc<Audience> {
    Arc::new(Audience::of(Some(&Selector { labels: zone(label), expressions: Vec::new() })))
}

fn offer(names: &[&str], body: &str) -> BTreeMap<Key, Intent> {
    let intent = |name: &&str| {
        let resource = Resource::new(CLUSTER, *name, body.to_owned());
        (resource.key(), Intent { resource, awaited: true, endpoints: None })
    };
    names.iter().map(intent).collect()
}

fn body(intents: &Intents, node: &str, name: &str) -> Option<String> {
    let resource = intents.view(node).get(CLUSTER, name)?;
    Some(String::from_utf8(resource.body.to_vec()).unwrap())
}

fn key(name: &str) -> Key {
    (CLUSTER.into(), name.into())
}

#[test]
fn only_what_differs_is_told() {
    let mut intents = Intents::default();
    let all = Arc::new(Audience::All);
    let delta = intents.set(&owner("a", 0), &all, offer(&["x", "y"], "1"));
    assert_eq!(delta.keys.len(), 2);
    assert_eq!(intents.set(&owner("a", 0), &all, offer(&["x", "y"], "1")), Delta::default());
    let mut mixed = offer(&["x"], "1");
    mixed.extend(offer(&["z"], "1"));
    assert_eq!(intents.set(&owner("a", 0), &all, mixed).keys, BTreeSet::from([key("y"), key("z")]));
}

#[test]
fn the_older_one_wins_and_its_rival_is_named() {
    let mut intents = Intents::default();
    let all = Arc::new(Audience::All);
    intents.set(&owner("young", 2), &all, offer(&["x"], "young"));
    let delta = intents.set(&owner("old", 1), &all, offer(&["x"], "old"));
    assert_eq!(delta.rivals, BTreeSet::from([owner("young", 2).1]));
    assert_eq!(body(&intents, "n", "x").unwrap(), "old");
    assert_eq!(intents.lost(&owner("young", 2).1), [(key("x"), owner("old", 1).1)]);
    assert_eq!(intents.lost(&owner("old", 1).1), []);

    let delta = intents.set(&owner("old", 1), &all, BTreeMap::new());
    assert_eq!((delta.keys.len(), delta.rivals.len()), (1, 1));
    assert_eq!(body(&intents, "n", "x").unwrap(), "young");
}

#[test]
fn nodes_see_what_is_for_them() {
    let mut intents = Intents::default();
    intents.set_labels("a", Some(zone("a")));
    intents.set_labels("b", Some(zone("b")));
    intents.set(&owner("for-a", 1), &only("a"), offer(&["x"], "a"));
    intents.set(&owner("for-b", 2), &only("b"), offer(&["x"], "b"));
    assert_eq!(body(&intents, "a", "x").unwrap(), "a");
    assert_eq!(body(&intents, "b", "x").unwrap(), "b");
    assert_eq!(body(&intents, "unknown", "x"), None);
    assert_eq!(intents.lost(&owner("for-b", 2).1), [], "the older one is for other nodes");

    intents.set(&owner("all", 3), &Arc::new(Audience::All), offer(&["y"], "y"));
    assert_eq!(intents.set_labels("b", Some(zone("a"))), BTreeSet::from([key("x")]));
    assert_eq!(body(&intents, "b", "x").unwrap(), "a");
    assert_eq!(intents.set_labels("b", Some(zone("a"))), BTreeSet::new());
    assert_eq!(intents.set_labels("b", None), BTreeSet::from([key("x")]));
    assert_eq!(intents.view("b").names(CLUSTER), ["y".into()]);
}
