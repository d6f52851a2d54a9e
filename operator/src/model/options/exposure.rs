//! How clients get to an Ingress: by its Service, or by a port of the nodes (host network mode).

use std::ops::RangeInclusive;

use super::{Mode, Reader};
use crate::model::HostNetwork;
use crate::problem::{Problem, Reason};

const HOST_PORT: &str = "host-listener-port";

/// What Kubernetes gives out as node ports, unless told otherwise.
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// How clients get to the listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// By the addresses of the Service, which are redirected to it.
    #[default]
    Service,
    /// By this port of the nodes, to which it is bound itself.
    HostPort(u16),
    /// Not at all: the port that was asked for cannot be had.
    Closed,
}

impl Reader<'_> {
    pub(super) fn exposure(&mut self, mode: Mode, host_network: Option<&HostNetwork>) -> Exposure {
        let Some(network) = host_network else {
            self.known.insert(HOST_PORT);
            self.warn(Reason::Unsupported, HOST_PORT, "has an effect in host network mode only".to_owned());
            return Exposure::Service;
        };
        if mode == Mode::Shared {
            self.known.insert(HOST_PORT);
            return Exposure::HostPort(network.shared_port);
        }
        let port = |value: &str| value.parse().ok().filter(|port| *port > 0);
        let asked = self.take(HOST_PORT, "a port", port);
        if !self.ingress.options.contains_key(HOST_PORT) {
            let why = format!(
                "without {HOST_PORT} this Ingress asks for port {} of the nodes, which only one can have",
                HostNetwork::PORT
            );
            self.problems.push(Problem::warning(Reason::Invalid, "metadata.annotations", why));
        }
        let port = asked.unwrap_or(HostNetwork::PORT);
        if network.proxy_ports.contains(&port) {
            let (first, last) = (network.proxy_ports.start(), network.proxy_ports.end());
            let why = format!("{port} is one of the ports {first}-{last} that the proxy takes itself; choose another");
            self.problems.push(Problem::error(Reason::Conflict, self.field(HOST_PORT), why));
            return Exposure::Closed;
        }
        if NODE_PORTS.contains(&port) {
            let why = format!("{port} may be given to a Service as a node port, which would take the connections");
            self.warn(Reason::Conflict, HOST_PORT, why);
        }
        Exposure::HostPort(port)
    }
}
