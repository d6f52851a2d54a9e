//! Endpoints of a Service as Envoy load assignments.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axoneme_envoy::endpoints;
use axoneme_xds::Resource;

use super::EndpointsName;
use crate::index::Index;
use crate::source::{EndpointSlice, Name, Protocol, Service};

/// The assignment of one EDS name. A Service without endpoints, or none at all, gives an empty one, never nothing: Envoy
/// would go on with the endpoints that it had. Costs the endpoints of that Service.
#[must_use]
pub fn assignment(name: &EndpointsName, index: &Index) -> Resource {
    let addresses = addresses(&name.service, name.port(), index);
    Resource::new(endpoints::TYPE_URL, name.name.clone(), endpoints::assignment(&name.name, &addresses))
}

/// Ready endpoints. While the whole Service has none, those that still answer although they are being shut down.
fn addresses(service: &Name, port: Option<&str>, index: &Index) -> BTreeSet<SocketAddr> {
    let slices: Vec<_> = index.slices_of(service).collect();
    let any_ready = slices.iter().any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.ready));
    let wanted = index.service(service).and_then(|service| port_name(service, port?));
    let mut addresses = BTreeSet::new();
    for slice in slices {
        let usable = slice.endpoints.iter().filter(|e| if any_ready { e.ready } else { e.draining });
        // All addresses of one endpoint mean the same backend.
        for ip in usable.filter_map(|endpoint| endpoint.addresses.first()) {
            let ports = target_ports(slice, port, wanted.as_deref());
            addresses.extend(ports.map(|port| SocketAddr::new(*ip, port)));
        }
    }
    addresses
}

/// The name of a Service's port that is written as a name or as a number.
fn port_name(service: &Service, port: &str) -> Option<String> {
    let numbered = || service.port(port.parse().ok()?);
    service.port_named(port).or_else(numbered).map(|port| port.name.clone())
}

/// Target ports of a slice. Slices know ports by the names that the Service gives them; without the Service a written
/// name still finds its port.
fn target_ports<'a>(
    slice: &'a EndpointSlice,
    written: Option<&'a str>,
    name: Option<&'a str>,
) -> impl Iterator<Item = u16> + 'a {
    let tcp = slice.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    tcp.filter(move |port| written.is_none_or(|written| port.name == name.unwrap_or(written))).map(|port| port.port)
}
