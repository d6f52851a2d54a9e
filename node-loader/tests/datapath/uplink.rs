//! A second uplink, with a client of its own behind it.

use axoneme_testnet::Namespace;

use crate::ground::Ground;

/// Node's and client's end of the second uplink.
const ENDS: [[&str; 2]; 2] = [["10.239.0.1", "fd00:239::1"], ["10.239.0.2", "fd00:239::2"]];

/// What the uplink's device lies on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// It is the device.
    Nothing,
    /// A macvlan device.
    Macvlan,
    /// A VLAN, on both sides.
    Vlan,
}

/// Gives the node a device `eth1` with a default route of its own, and a client that is reached by it only.
///
/// The error is why the kernel has no such device.
pub(crate) fn add(ground: &mut Ground, over: Over) -> Result<(), String> {
    let client = ground.lab.client("second").unwrap();
    let (node, [own4, own6]) = (&ground.node, client.address.each());
    // Its address moves to the new link, so that the answers have to.
    client.ip(["addr flush dev eth0", "link set eth0 down"]).unwrap();
    let (at_node, at_client) = if over == Over::Nothing { ("eth1", "wan") } else { ("low1", "low") };
    node.ip([format!("link add {at_node} type veth peer name {at_client} netns {}", client.pid())]).unwrap();
    let layer = |place: &Namespace, low: &str, name: &str| -> axoneme_testnet::Result<()> {
        place.ip([format!("link set {low} up")])?;
        match over {
            Over::Nothing => Ok(()),
            Over::Macvlan => place.ip([format!("link add {name} link {low} type macvlan mode bridge")]),
            Over::Vlan => place.ip([format!("link add link {low} name {name} type vlan id 5")]),
        }
    };
    layer(node, at_node, "eth1").and_then(|()| layer(&client, at_client, "wan")).map_err(|error| error.to_string())?;
    let [[node4, node6], [client4, client6]] = ENDS;
    node.ip([
        format!("addr add {node4}/24 dev eth1"),
        format!("addr add {node6}/64 dev eth1 nodad"),
        "link set eth1 up".to_owned(),
        format!("route add {own4}/32 dev eth1"),
        format!("route add {own6}/128 dev eth1"),
        format!("route add default via {client4} dev eth1 metric 2000"),
        format!("route add default via {client6} dev eth1 metric 2000"),
    ])
    .unwrap();
    client
        .ip([
            format!("addr add {own4}/32 dev wan"),
            format!("addr add {own6}/128 dev wan nodad"),
            "link set wan up".to_owned(),
            format!("route add {node4}/32 dev wan"),
            format!("route add {node6}/128 dev wan"),
            format!("route add default via {node4} dev wan"),
            format!("route add default via {node6} dev wan"),
        ])
        .unwrap();
    ground.clients.push(client);
    Ok(())
}
