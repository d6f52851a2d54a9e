//! A story for people.

use std::fmt::Write as _;

use super::story::{Answer, ClusterStep, Passed, RouteStep, Story, Way};

/// Endpoints of a cluster that are spelled out; the others are counted.
const ENDPOINTS: usize = 8;

/// Lines, the verdict first.
pub(super) fn text(story: &Story) -> String {
    let mut text = format!("{} from node {}: {}\n", story.target, story.node, story.verdict);
    for way in &story.ways {
        show_way(&mut text, way);
    }
    let passed = story.ways.iter().flat_map(|way| &way.answer.passed).chain(&story.others);
    let passed: Vec<_> = passed.collect();
    if !passed.is_empty() {
        text.push_str("\nwhy not the others\n");
        let width = passed.iter().map(|it| it.what.chars().count()).max().unwrap_or_default().min(48);
        for Passed { what, why } in passed {
            line(&mut text, &format!("  {what:<width$}  {why}"));
        }
    }
    if !story.notes.is_empty() {
        text.push_str("\nnotes\n");
        story.notes.iter().for_each(|note| line(&mut text, &format!("  {note}")));
    }
    text
}

fn show_way(text: &mut String, way: &Way) {
    let node_ports = way.node_ports.iter().map(|port| format!("node port {port}"));
    let at = way.addresses.iter().cloned().chain(node_ports).collect::<Vec<_>>().join(", ");
    line(text, &format!("\n{} at {at}", way.redirect));
    let place = way.place.as_ref().map_or_else(String::new, |place| format!(", {place}"));
    field(text, "object", &format!("{}{place}", way.object));
    for condition in &way.status {
        let age = if condition.current { "" } else { " (of an older version)" };
        let reason = if condition.reason == condition.type_ { "" } else { &format!(" {}", condition.reason) };
        field(text, "status", &format!("{}={}{reason}{age}: {}", condition.type_, condition.status, condition.message));
    }
    let Answer { chain, filters, routes, clusters, problem, passed: _ } = &way.answer;
    let chain = chain.as_ref().map_or_else(String::new, |chain| format!(", filter chain {chain}"));
    field(text, "listener", &format!("{}{chain}", way.listener));
    if !filters.is_empty() {
        field(text, "filters", &filters.join(", "));
    }
    routes.iter().for_each(|route| show_route(text, route));
    clusters.iter().for_each(|cluster| show_cluster(text, cluster));
    // A cluster says its own.
    if let Some(problem) = problem.as_ref().filter(|it| !clusters.iter().any(|one| one.problem.as_ref() == Some(it))) {
        field(text, "answer", problem);
    }
}

fn show_route(text: &mut String, route: &RouteStep) {
    let RouteStep { table, host, route: at, matches, only_if, answers, mirrors, .. } = route;
    let place = [table.as_str(), host, at].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    field(text, "route", &format!("{place}: {matches}{}", share(route.percent)));
    for condition in only_if {
        field(text, "", &format!("only if {condition}"));
    }
    for mirror in mirrors {
        field(text, "mirror", mirror);
    }
    if let Some(answers) = answers {
        field(text, "answer", &format!("Envoy itself: {answers}"));
    }
}

fn show_cluster(text: &mut String, cluster: &ClusterStep) {
    field(text, "cluster", &format!("{}{}", cluster.name, share(cluster.percent)));
    let more = cluster.endpoints.len().saturating_sub(ENDPOINTS);
    for endpoint in cluster.endpoints.iter().take(ENDPOINTS) {
        let locality = endpoint.locality.as_ref().map_or_else(String::new, |it| format!(" in {it}"));
        field(text, "endpoint", &format!("{}{locality}", endpoint.address));
    }
    if more > 0 {
        field(text, "", &format!("and {more} more"));
    }
    if let Some(problem) = &cluster.problem {
        field(text, "endpoint", problem);
    }
}

fn share(percent: f64) -> String {
    if percent >= 100.0 { String::new() } else { format!(", {percent}%") }
}

fn field(text: &mut String, name: &str, value: &str) {
    line(text, &format!("  {name:<9} {value}"));
}

fn line(text: &mut String, line: &str) {
    // A String takes everything.
    let _ = writeln!(text, "{}", line.trim_end_matches(' '));
}
