//! What an Ingress, its class and the operator can be asked for, as users ask for it. Asked from outside.
//!
//! What a single Ingress asks for is tried side by side, each in a namespace of its own; host network mode is the whole operator's.

mod host_network;
mod local_traffic;
mod ownership;
mod parameters;
mod passthrough;
mod proxy_protocol;
mod shared_passthrough;
mod tls_backend;

use anyhow::Result;
use axoneme_e2e::{scenario, theme};

/// The chart's own.
const CLASS: &str = "axoneme";

#[test]
fn what_an_ingress_and_its_class_ask_for() -> Result<()> {
    scenario("options", |cluster| {
        let themes = [
            &local_traffic::THEME,
            &ownership::THEME,
            &parameters::THEME,
            &passthrough::THEME,
            &proxy_protocol::THEME,
            &shared_passthrough::THEME,
        ];
        theme::try_all(cluster, CLASS, &themes)?;
        cluster.leave_the_shared_address()
    })
}

#[test]
fn in_host_network_mode_an_ingress_is_at_a_port_of_the_nodes() -> Result<()> {
    scenario("host-network", |cluster| {
        let mode = host_network::Mode::on(cluster)?;
        theme::try_all(cluster, CLASS, &[&host_network::THEME])?;
        mode.off()
    })
}
