//! The one message of the intent protocol that is not Envoy's own: which addresses of a Service go to which listener.
//!
//! Everything else that a node is told travels as plain Envoy resources in the same delta xDS stream.

use std::net::{IpAddr, SocketAddr};

/// Type URL of [`Redirect`] in the delta xDS stream from the operator to a node.
pub const REDIRECT: &str = "type.googleapis.com/axoneme.v1.Redirect";

/// What a node's rejection begins with when it was not Envoy that refused the resource: Envoy died of it, more than once.
pub const PROXY_CRASHED: &str = "ProxyCrashed: ";

/// What a node's rejection of a [`Redirect`] begins with while its Envoy is away.
pub const PROXY_AWAY: &str = "ProxyAway: ";

/// Traffic of one Service port that a node hands to one of its Envoy listeners.
///
/// The resource name is `namespace/service:port`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Redirect {
    /// Cluster IPs, load balancer IPs and external IPs with the Service's port.
    #[prost(message, repeated, tag = "1")]
    pub frontends: Vec<Frontend>,
    /// Node ports. The node adds its own addresses, which only it knows.
    #[prost(uint32, repeated, tag = "2")]
    pub node_ports: Vec<u32>,
    /// Resource name of the Envoy listener that takes the connections.
    #[prost(string, tag = "3")]
    pub listener: String,
    /// The object that asked for it, for people: `CiliumEnvoyConfig default/web`.
    #[prost(string, tag = "4")]
    pub owner: String,
    /// Whether the Service has backends of its own. Without any (an Ingress address) there is nothing to bypass to, so
    /// connections are refused while the proxy is away.
    #[prost(bool, tag = "5")]
    pub has_backends: bool,
    /// Who outside of the cluster may dial the frontends with [`Frontend::listed_sources_only`]. Empty: nobody.
    #[prost(message, repeated, tag = "6")]
    pub sources: Vec<SourceRange>,
}

/// One address and port that clients dial.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Message)]
pub struct Frontend {
    /// 4 bytes for IPv4, 16 for IPv6, in network byte order.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// 1 to 65535.
    #[prost(uint32, tag = "2")]
    pub port: u32,
    /// From outside of the cluster only [`Redirect::sources`] may connect; everybody else is refused.
    #[prost(bool, tag = "3")]
    pub listed_sources_only: bool,
}

/// Addresses that share their first bits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Message)]
pub struct SourceRange {
    /// 4 bytes for IPv4, 16 for IPv6, in network byte order. Bits behind the prefix mean nothing.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// How many bits they share: at most 32 for IPv4, 128 for IPv6.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

impl SourceRange {
    /// A range. `length` is in bits.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        Self { address: bytes(address), length: u32::from(length) }
    }

    /// One of the addresses and the length in bits, or `None` when the bytes are no address or the length does not fit.
    #[must_use]
    pub fn prefix(&self) -> Option<(IpAddr, u8)> {
        let address = address(&self.address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        u8::try_from(self.length).ok().filter(|length| *length <= most).map(|length| (address, length))
    }
}

impl Frontend {
    /// A frontend for an address that everybody may dial.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address: bytes(address.ip()), port: u32::from(address.port()), listed_sources_only: false }
    }

    /// The address and port, or `None` when the bytes are no address or the port does not fit.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let port = u16::try_from(self.port).ok().filter(|port| *port != 0)?;
        Some(SocketAddr::new(address(&self.address)?, port))
    }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_keeps_its_address() {
        for text in ["10.96.0.10:80", "[fd00::1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Frontend::new(address).socket_addr(), Some(address));
        }
    }

    #[test]
    fn foreign_bytes_are_no_address() {
        let frontend = |address: &[u8], port| Frontend { address: address.to_vec(), port, ..Frontend::default() };
        assert_eq!(frontend(&[1, 2, 3], 80).socket_addr(), None);
        assert_eq!(frontend(&[1, 2, 3, 4], 0).socket_addr(), None);
        assert_eq!(frontend(&[1, 2, 3, 4], 65_536).socket_addr(), None);
        assert_eq!(SourceRange { address: vec![1, 2, 3], length: 8 }.prefix(), None);
    }

    #[test]
    fn a_range_has_as_many_bits_as_its_family() {
        for (address, longest) in [("192.0.2.0", 32), ("2001:db8::", 128)] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(SourceRange::new(address, longest).prefix(), Some((address, longest)));
            assert_eq!(SourceRange::new(address, longest + 1).prefix(), None);
        }
    }
}
