//! The address plan, the same in every lab: labs share no link, so nothing collides.
//!
//! | what | IPv4 | IPv6 |
//! |---|---|---|
//! | LAN of the nodes and clients; `.1` is the LAN's router | 10.230.0.0/24 | fd00:230::/64 |
//! | pods of node *n*; `.1` is their gateway | 10.231.*n*.0/24 | fd00:231:*n*::/64 |
//! | service addresses, for whoever gives them out | 10.232.0.0/24 | fd00:232::/112 |
//! | load balancer addresses, for whoever gives them out | 10.233.0.0/24 | fd00:233::/112 |
//! | ends of the nodes' tunnel, where there is one | 10.234.0.0/24 | fd00:234::/64 |

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The range of service addresses, IPv4.
pub const SERVICES_V4: &str = "10.232.0.0/24";
/// The range of service addresses, IPv6.
pub const SERVICES_V6: &str = "fd00:232::/112";
/// The range of load balancer addresses, IPv4.
pub const BALANCERS_V4: &str = "10.233.0.0/24";
/// The range of load balancer addresses, IPv6.
pub const BALANCERS_V6: &str = "fd00:233::/112";

/// The hardware address of every bridge, of which no namespace has two.
pub(crate) const BRIDGE: &str = "02:00:00:00:00:01";

/// Whether an address is of the range of services.
#[must_use]
pub fn is_service(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets().starts_with(&[10, 232, 0]),
        IpAddr::V6(v6) => v6.segments().starts_with(&[0xfd00, 0x232, 0, 0, 0, 0, 0]),
    }
}

/// Whether an address is of the range of load balancers.
#[must_use]
pub fn is_balancer(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets().starts_with(&[10, 233, 0]),
        IpAddr::V6(v6) => v6.segments().starts_with(&[0xfd00, 0x233, 0, 0, 0, 0, 0]),
    }
}

/// An address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Dual {
    /// IPv4, then IPv6.
    #[must_use]
    pub fn each(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

impl fmt::Display for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.v4, self.v6)
    }
}

/// The router of the LAN.
pub(crate) const ROUTER: u8 = 1;
/// The first node of the LAN is one above.
pub(crate) const NODES: u8 = 10;
/// The first client of the LAN.
pub(crate) const CLIENTS: u8 = 100;
/// The gateway of a node's pods.
pub(crate) const GATEWAY: u8 = 1;
/// The first pod of a node is one above.
pub(crate) const PODS: u8 = 10;

/// Address `host` of the LAN.
pub(crate) fn lan(host: u8) -> Dual {
    Dual { v4: Ipv4Addr::new(10, 230, 0, host), v6: Ipv6Addr::new(0xfd00, 0x230, 0, 0, 0, 0, 0, hexlike(host)) }
}

/// Address `host` among the pods of node number `node`.
pub(crate) fn pods(node: u8, host: u8) -> Dual {
    let v6 = Ipv6Addr::new(0xfd00, 0x231, node.into(), 0, 0, 0, 0, hexlike(host));
    Dual { v4: Ipv4Addr::new(10, 231, node, host), v6 }
}

/// The end of node number `node` in a tunnel between the nodes.
pub(crate) fn tunnel(node: u8) -> Dual {
    Dual { v4: Ipv4Addr::new(10, 234, 0, node), v6: Ipv6Addr::new(0xfd00, 0x234, 0, 0, 0, 0, 0, hexlike(node)) }
}

/// The range of the pods of node number `node`, IPv4 and IPv6.
pub(crate) fn pod_ranges(node: u8) -> [String; 2] {
    [format!("{}/24", pods(node, 0).v4), format!("{}/64", pods(node, 0).v6)]
}

/// The number whose hexadecimal digits read like the decimal digits of `host`, so that `.11` and `::11` are one host.
fn hexlike(host: u8) -> u16 {
    let host = u16::from(host);
    host / 100 * 0x100 + host / 10 % 10 * 0x10 + host % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_read_alike() {
        assert_eq!(lan(CLIENTS).to_string(), "10.230.0.100, fd00:230::100");
        assert_eq!(pods(2, 11).to_string(), "10.231.2.11, fd00:231:2::11");
        assert_eq!(pod_ranges(1), ["10.231.1.0/24", "fd00:231:1::/64"]);
    }

    #[test]
    fn ranges_are_told_apart() {
        for (text, service, balancer) in [
            ("10.232.0.7", true, false),
            ("10.233.0.7", false, true),
            ("10.231.1.1", false, false),
            ("fd00:232::7", true, false),
            ("fd00:233::7", false, true),
            ("fd00:233:1::7", false, false),
        ] {
            let address = text.parse().unwrap();
            assert_eq!((is_service(address), is_balancer(address)), (service, balancer), "{text}");
        }
    }
}
