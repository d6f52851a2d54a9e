//! Endpoints of a Service as Envoy load assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use axoneme_envoy::endpoints::{self, Backend};
use axoneme_xds::Resource;

use super::EndpointsName;
use crate::index::Index;
use crate::source::{Endpoint, EndpointSlice, Name, Protocol, Service, SlicePort};

/// The assignment of one EDS name. A Service without endpoints, or none at all, gives an empty one, never nothing: Envoy
/// would go on with the endpoints that it had. Costs the endpoints of that Service.
#[must_use]
pub fn assignment(name: &EndpointsName, index: &Index) -> Resource {
    let backends = backends(&name.service, name.port(), index);
    Resource::new(endpoints::TYPE_URL, name.name.clone(), endpoints::assignment(&name.name, &backends))
}

/// Ready endpoints. While the whole Service has none, those that still answer although they are being shut down.
fn backends(service: &Name, port: Option<&str>, index: &Index) -> BTreeSet<Backend> {
    let slices: Vec<_> = index.slices_of(service).collect();
    let any_ready = slices.iter().any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.ready));
    let found = index.service(service);
    let wanted = found.and_then(|service| port_name(service, port?));
    let mut joined = BTreeMap::new();
    for slice in slices {
        for endpoint in slice.endpoints.iter().filter(|e| if any_ready { e.ready } else { e.draining }) {
            for port in target_ports(slice, port, wanted.as_deref()) {
                join(&mut joined, endpoint, port);
            }
        }
    }
    let ipv6_first = found.is_some_and(|service| service.is_ipv6_first);
    joined.into_values().filter_map(|parts| parts.backend(ipv6_first)).collect()
}

/// What the slices say of one backend.
#[derive(Default)]
struct Parts {
    addresses: BTreeSet<SocketAddr>,
    zone: Arc<str>,
    node: Arc<str>,
}

/// A pod at a port of the Service, or an address that stands for itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identity<'a> {
    Pod(&'a str, &'a str),
    Address(SocketAddr),
}

fn join<'a>(joined: &mut BTreeMap<Identity<'a>, Parts>, endpoint: &'a Endpoint, port: &'a SlicePort) {
    // All addresses of one endpoint mean the same backend.
    let Some(ip) = endpoint.addresses.first() else { return };
    let address = SocketAddr::new(*ip, port.port);
    let identity = match &endpoint.pod {
        Some(pod) => Identity::Pod(pod, &port.name),
        None => Identity::Address(address),
    };
    let parts = joined.entry(identity).or_default();
    parts.addresses.insert(address);
    for (known, told) in [(&mut parts.zone, &endpoint.zone), (&mut parts.node, &endpoint.node)] {
        if known.is_empty() {
            known.clone_from(told);
        }
    }
}

impl Parts {
    /// Addresses of the Service's primary family come first. There is one.
    fn backend(self, ipv6_first: bool) -> Option<Backend> {
        let (first, other): (Vec<_>, Vec<_>) = self.addresses.into_iter().partition(|it| it.is_ipv6() == ipv6_first);
        let mut addresses = first.into_iter().chain(other);
        let address = addresses.next()?;
        Some(Backend { zone: self.zone, address, more: addresses.collect(), node: self.node })
    }
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
) -> impl Iterator<Item = &'a SlicePort> {
    let tcp = slice.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    tcp.filter(move |port| written.is_none_or(|written| port.name == name.unwrap_or(written)))
}
