//! What everybody expects of an Ingress: the scenarios of Kubernetes' conformance suite for Ingress controllers, and the examples
//! of its documentation, in our own words. Asked from outside, at the load balancer's addresses.
//!
//! Themes are tried side by side, each in a namespace of its own.

mod class;
mod default_backend;
mod documented;
mod host_rules;
mod load_balancing;
mod path_rules;
mod shared;
mod tls;

use anyhow::Result;
use axoneme_e2e::{scenario, theme};

/// The chart's own.
const CLASS: &str = "axoneme";

#[test]
fn what_the_conformance_suite_asks_of_an_ingress_controller() -> Result<()> {
    scenario("conformance", |cluster| {
        let themes = [
            &class::THEME,
            &default_backend::THEME,
            &host_rules::THEME,
            &load_balancing::THEME,
            &path_rules::RULES,
            &tls::THEME,
        ];
        theme::try_all(cluster, CLASS, &themes)
    })
}

#[test]
fn the_examples_of_the_documentation() -> Result<()> {
    scenario("documented", |cluster| theme::try_all(cluster, CLASS, &[&documented::THEME, &path_rules::TABLE]))
}

/// All of them go and come back, so that the first of shared mode finds what the last one left.
#[test]
fn the_same_at_one_address_for_all() -> Result<()> {
    scenario("shared", |cluster| {
        let class = shared::Class::make(cluster)?;
        theme::try_all(cluster, shared::CLASS, &[&host_rules::THEME, &path_rules::TABLE, &tls::THEME])?;
        theme::try_all(cluster, shared::CLASS, &[&path_rules::RULES])?;
        drop(class);
        cluster.leave_the_shared_address()
    })
}
