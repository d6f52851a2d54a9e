//! The one message of the intent protocol that is not Envoy's own: which addresses of a Service go to which listener.
//!
//! Everything else that a node is told travels as plain Envoy resources in the same delta xDS stream.

/// Type URL of [`Redirect`] in the delta xDS stream from the operator to a node.
pub const REDIRECT: &str = "type.googleapis.com/axoneme.v1.Redirect";

/// What a node's rejection begins with when it was not Envoy that refused the resource: Envoy died of it, more than once.
pub const PROXY_CRASHED: &str = "ProxyCrashed: ";

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
}

impl Frontend {
    /// A frontend for an address.
    #[must_use]
    pub fn new(address: std::net::SocketAddr) -> Self {
        let bytes = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Self { address: bytes, port: u32::from(address.port()) }
    }

    /// The address and port, or `None` when the bytes are no address or the port does not fit.
    #[must_use]
    pub fn socket_addr(&self) -> Option<std::net::SocketAddr> {
        let ip = match self.address.len() {
            4 => std::net::IpAddr::from(<[u8; 4]>::try_from(self.address.as_slice()).ok()?),
            16 => std::net::IpAddr::from(<[u8; 16]>::try_from(self.address.as_slice()).ok()?),
            _ => return None,
        };
        let port = u16::try_from(self.port).ok().filter(|port| *port != 0)?;
        Some(std::net::SocketAddr::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_keeps_its_address() {
        for text in ["10.96.0.10:80", "[fd00::1]:443"] {
            let address: std::net::SocketAddr = text.parse().unwrap();
            assert_eq!(Frontend::new(address).socket_addr(), Some(address));
        }
    }

    #[test]
    fn foreign_bytes_are_no_address() {
        assert_eq!(Frontend { address: vec![1, 2, 3], port: 80 }.socket_addr(), None);
        assert_eq!(Frontend { address: vec![1, 2, 3, 4], port: 0 }.socket_addr(), None);
        assert_eq!(Frontend { address: vec![1, 2, 3, 4], port: 65_536 }.socket_addr(), None);
    }
}
