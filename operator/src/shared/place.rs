//! At which address an Ingress is served: in the middle of a change of mode, at both.
//!
//! The new place serves before the old one goes. The Ingress's own status says how far the change is: when it shows the addresses
//! of the new place, and those of the old one no more, the old one goes.

use axoneme_api::names;

use crate::index::Index;
use crate::model::IngressDefaults;
use crate::model::options::Mode;
use crate::source::{Ingress, LoadBalancerAddress, Name};

/// Where an Ingress is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The one that is asked for.
    pub mode: Mode,
    /// At an address of its own.
    pub dedicated: bool,
    /// At the address of all.
    pub shared: bool,
}

/// Where an Ingress that is ours is served. Costs a few look-ups.
#[must_use]
pub fn place(ingress: &Ingress, index: &Index, defaults: &IngressDefaults) -> Place {
    let name = &ingress.meta.name;
    let own = index.service(&Name::new(&name.namespace, &names::ingress_service(&name.name)));
    let shared = index.service(&defaults.shared_service).filter(|service| service.is_ingress);
    let shows = |addresses: &[LoadBalancerAddress]| !addresses.is_empty() && ingress.load_balancer == addresses;
    let shows_own = own.is_some_and(|service| shows(&service.load_balancer));
    let shows_shared = shared.is_some_and(|service| shows(&service.load_balancer));
    let mode = Mode::of(ingress, defaults);
    match mode {
        // What is bound to ports needs no address, and a port is there or taken.
        _ if defaults.host_network.is_some() => {
            Place { mode, dedicated: mode == Mode::Dedicated, shared: mode == Mode::Shared }
        }
        Mode::Dedicated => Place { mode, dedicated: true, shared: shows_shared && !shows_own },
        Mode::Shared => {
            let dedicated = own.is_some_and(|service| service.is_ingress) && !shows_shared;
            Place { mode, dedicated, shared: true }
        }
    }
}
