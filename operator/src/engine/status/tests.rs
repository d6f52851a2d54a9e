use std::{collections::BTreeSet, path::Path, sync::Arc};

use axoneme_api::intent::{PROXY_AWAY, PROXY_CRASHED};

use super::*;
use crate::intents::Rejection;
use crate::problem::Reason;

fn nodes(count: usize) -> Vec<Arc<str>> {
    (1..=count).map(|node| format!("n{node}").into()).collect()
}

fn refused(node: &str, message: &str) -> Rejection {
    Rejection { node: node.into(), resource: "default/a/l".into(), message: message.into() }
}

fn condition(programmed: &Programmed) -> (&'static str, String) {
    let standing = programmed::Standing { accepted: true, outdated: false };
    let condition = programmed::condition(programmed, standing);
    (condition.reason, condition.message)
}

#[test]
fn nodes_that_say_the_same_are_told_together() {
    let mut rejections: Vec<_> = nodes(5).iter().map(|node| refused(node, "bad regex")).collect();
    rejections.push(refused("n6", "no memory"));
    let programmed = Programmed { nodes: 9, done: 3, rejections, ..Programmed::default() };
    let (reason, message) = condition(&programmed);
    assert_eq!(reason, "Rejected");
    let told = "3/9 nodes; n1, n2, n3 and 2 more refused default/a/l: bad regex; n6 refused default/a/l: no memory";
    assert_eq!(message, told);
}

#[test]
fn a_crash_of_the_proxy_has_a_reason_of_its_own() {
    let rejections = vec![refused("n1", "bad regex"), refused("n2", &format!("{PROXY_CRASHED}died twice of it"))];
    let programmed = Programmed { nodes: 2, done: 0, rejections, ..Programmed::default() };
    let (reason, message) = condition(&programmed);
    assert_eq!(reason, "ProxyCrashed");
    assert!(message.contains("n2 refused default/a/l: died twice of it"), "{message}");
}

#[test]
fn a_proxy_that_is_away_has_a_reason_of_its_own_unless_something_worse_is_told() {
    let away = refused("n1", &format!("{PROXY_AWAY}Envoy does not run; new connections go around it"));
    let mut programmed = Programmed { nodes: 2, done: 1, rejections: vec![away], ..Programmed::default() };
    let told = "1/2 nodes; n1 refused default/a/l: Envoy does not run; new connections go around it";
    assert_eq!(condition(&programmed), ("ProxyAway", told.to_owned()));
    programmed.rejections.push(refused("n2", "bad regex"));
    assert_eq!(condition(&programmed).0, "Rejected");
}

#[test]
fn who_is_away_is_told_apart_from_who_is_slow() {
    let mut programmed = Programmed { nodes: 7, done: 2, absent: nodes(5), ..Programmed::default() };
    let away = "2/7 nodes; n1, n2, n3 and 2 more are not connected";
    assert_eq!(condition(&programmed), ("NotConnected", away.to_owned()));
    (programmed.done, programmed.waiting) = (1, vec!["slow".into()]);
    assert_eq!(condition(&programmed).0, "Pending");
}

#[test]
fn envoys_words_are_cut_where_they_get_long() {
    let rejections = vec![refused("n1", &"ü".repeat(5000))];
    let programmed = Programmed { nodes: 1, done: 0, rejections, ..Programmed::default() };
    let (_, message) = condition(&programmed);
    assert!(message.len() < 1200 && message.ends_with("ü..."), "{}", message.len());
}

/// `docs/status.md` has a table for each condition; its first column is the reasons.
#[test]
fn every_reason_is_documented_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented = |heading: &str| -> BTreeSet<String> {
        let section = text.split("\n## ").find(|section| section.lines().next() == Some(heading));
        let rows = section.unwrap_or_else(|| panic!("no section {heading}")).lines();
        rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`')).map(|(reason, _)| reason.to_owned()).collect()
    };
    let words = |words: &mut dyn Iterator<Item = &'static str>| words.map(str::to_owned).collect::<BTreeSet<_>>();
    let problems = |reference: bool| Reason::ALL.into_iter().filter(move |it| it.is_reference() == reference);
    let own = words(&mut problems(false).map(Reason::as_str).chain([ACCEPTED]));
    assert_eq!(documented("Accepted"), own);
    let references = words(&mut problems(true).map(Reason::as_str).chain([RESOLVED_REFS]));
    assert_eq!(documented("ResolvedRefs"), references);
    assert_eq!(documented("Programmed"), words(&mut ProgrammedReason::ALL.into_iter().map(ProgrammedReason::as_str)));
}
