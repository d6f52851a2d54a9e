//! The chart gives the loader no capability that it could do without, and none is missing.

use std::fs;

use axoneme_testnet::{Lab, Layout};

use crate::agent::Agent;

const CHART: &str = include_str!("../../../charts/axoneme/templates/node.yaml");

/// What the chart adds to a container that has no capability otherwise, as `setpriv` writes it.
pub(crate) fn of_container(name: &str) -> Vec<String> {
    let from = CHART.split_once(&format!("- name: {name}\n")).unwrap().1;
    let list = from.split_once("capabilities: {drop: [ALL], add: [").unwrap().1.split_once(']').unwrap().0;
    list.split(", ").map(str::to_ascii_lowercase).collect()
}

#[test]
fn a_loader_needs_each_capability_that_the_chart_gives_it() {
    let mut lab = Lab::new("rights").unwrap();
    let node = lab.node("node1", Layout::Routed).unwrap();
    let given = of_container("loader");
    for without in &given {
        let less: Vec<String> = given.iter().filter(|it| *it != without).cloned().collect();
        let words = Agent::refusal(&node, &less);
        let name = without.to_ascii_uppercase();
        assert!(words.starts_with(&format!("the loader lacks CAP_{name} (to ")), "without {name}: {words}");
        assert_eq!(words.matches("CAP_").count(), 1, "without {name}: {words}");
        println!("without {name}: {words}");
    }
    // Nothing but these, and no way to more.
    let agent = Agent::start(&node);
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let effective = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    assert_eq!(effective.count_ones() as usize, given.len(), "{effective:#x}");
    assert_eq!((field("CapBnd:"), field("NoNewPrivs:")), (field("CapEff:"), "1".to_owned()));
}

#[test]
fn who_cleans_up_may_do_what_the_loader_may() {
    assert_eq!(of_container("cleanup"), of_container("loader"));
}
