//! A second uplink, with a client of its own behind it.

use std::net::Ipv4Addr;

use axoneme_testnet::{Namespace, Result, wireguard};

use crate::ground::Ground;

/// Node's and client's end of the second uplink.
const ENDS: [[&str; 2]; 2] = [["10.239.0.1", "fd00:239::1"], ["10.239.0.2", "fd00:239::2"]];

/// Their addresses on the device below, where a tunnel needs some.
const BELOW: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 238, 0, 1), Ipv4Addr::new(10, 238, 0, 2)];

/// What the uplink's device lies on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// It is the device.
    Nothing,
    /// A macvlan device.
    Macvlan,
    /// A VLAN, on both sides.
    Vlan,
    /// WireGuard, on both sides: packets have no link-layer header.
    WireGuard,
}

impl Over {
    /// The device below and the uplink, at the node and at the client.
    const fn names(self) -> [[&'static str; 2]; 2] {
        match self {
            Self::Nothing => [["eth1", "eth1"], ["wan", "wan"]],
            Self::Macvlan => [["low1", "eth1"], ["low", "wan"]],
            Self::Vlan => [["low1", "low1.100"], ["low", "low.100"]],
            Self::WireGuard => [["low1", "wg0"], ["low", "wg0"]],
        }
    }
}

/// Gives the node an uplink with a default route of its own, and a client that is reached by it only.
///
/// The error is why the kernel has no such device.
pub(crate) fn add(ground: &mut Ground, over: Over) -> std::result::Result<(), String> {
    let client = ground.lab.client("second").unwrap();
    let (node, [own4, own6]) = (&ground.node, client.address.each());
    // Its address moves to the new link, so that the answers have to.
    client.ip(["addr flush dev eth0", "link set eth0 down"]).unwrap();
    let [[low, uplink], [client_low, wan]] = over.names();
    node.ip([format!("link add {low} type veth peer name {client_low} netns {}", client.pid())]).unwrap();
    let ends: [(&Namespace, _, _); 2] = [(node, low, uplink), (&client, client_low, wan)];
    layer(over, ends).map_err(|error| error.to_string())?;
    let [[node4, node6], [client4, client6]] = ENDS;
    node.ip([
        format!("addr add {node4}/24 dev {uplink}"),
        format!("addr add {node6}/64 dev {uplink} nodad"),
        format!("link set {uplink} up"),
        format!("route add {own4}/32 dev {uplink}"),
        format!("route add {own6}/128 dev {uplink}"),
        format!("route add default via {client4} dev {uplink} metric 2000"),
        format!("route add default via {client6} dev {uplink} metric 2000"),
    ])
    .unwrap();
    client
        .ip([
            format!("addr add {own4}/32 dev {wan}"),
            format!("addr add {own6}/128 dev {wan} nodad"),
            format!("link set {wan} up"),
            format!("route add {node4}/32 dev {wan}"),
            format!("route add {node6}/128 dev {wan}"),
            format!("route add default via {node4} dev {wan}"),
            format!("route add default via {node6} dev {wan}"),
        ])
        .unwrap();
    ground.clients.push(client);
    Ok(())
}

/// Makes the uplink's device at both ends: a place, the device below, and the name.
fn layer(over: Over, ends: [(&Namespace, &str, &str); 2]) -> Result<()> {
    for (place, low, name) in ends {
        place.ip([format!("link set {low} up")])?;
        match over {
            Over::Nothing | Over::WireGuard => {}
            Over::Macvlan => place.ip([format!("link add {name} link {low} type macvlan mode bridge")])?,
            Over::Vlan => place.ip([format!("link add link {low} name {name} type vlan id 100")])?,
        }
    }
    if over != Over::WireGuard {
        return Ok(());
    }
    for ((place, low, _), address) in ends.iter().zip(BELOW) {
        place.ip([format!("addr add {address}/24 dev {low}")])?;
    }
    let [node, client] = [0, 1].map(|at| (ends[at].0, ends[at].2, BELOW[at].into()));
    wireguard::connect([node, client])
}
