//! The table of nftables: whoever takes it away, or a part of it, it comes back. Firewalls flush all tables when they start anew.

use axoneme_testnet::{Layout, Namespace, wait_until};

use crate::{
    PROXY_PORT, SOON,
    scene::Scene,
    talk::{Talk, dial},
};

/// The table without what its rules counted; empty when it is not there.
pub(crate) fn rules(node: &Namespace) -> String {
    node.run("nft", ["--stateless", "list", "table", "inet", "axoneme"]).unwrap_or_default()
}

pub(crate) fn becomes(node: &Namespace, wanted: impl Fn(&str) -> bool) {
    let _ = wait_until("the table to change", SOON, || Ok(wanted(&rules(node))));
    let found = rules(node);
    assert!(wanted(&found), "{found}");
}

/// Does something to the table, and waits until it is as before.
pub(crate) fn comes_back(node: &Namespace, change: &str) {
    let before = rules(node);
    node.nft(&format!("{change}\n")).unwrap();
    becomes(node, |rules| rules == before);
}

#[test]
fn what_somebody_takes_away_of_the_table_comes_back() {
    let mut scene = Scene::new("flush", Layout::Routed);
    let _proxy = scene.proxy();
    let mut talks = Vec::new();
    for frontend in scene.frontends() {
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        talks.extend(scene.places().iter().map(|place| dial(place, frontend).unwrap()));
    }
    for change in [
        "delete table inet axoneme",
        "flush table inet axoneme",
        "flush chain inet axoneme output",
        "delete table inet axoneme; add table inet axoneme",
    ] {
        comes_back(&scene.node, change);
        talks.iter_mut().for_each(Talk::check);
        for frontend in scene.frontends() {
            for place in scene.places() {
                let talk = dial(&place, frontend).unwrap();
                assert_eq!(talk.who, "proxy", "{place:?} after {change}");
                assert!(!scene.is_tracked(talk.peer), "{place:?} after {change}: connection tracking saw it");
            }
        }
    }
    drop(talks);
    scene.end();
}
