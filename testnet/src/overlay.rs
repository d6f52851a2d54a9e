//! An overlay underneath the pods: what they say to those of the other node travels in a tunnel.

use crate::{Node, Result, address, wireguard};

/// Pods' packets in vxlan, as with flannel, in place of the plain routes between two nodes.
///
/// # Errors
/// If the kernel refuses.
pub fn vxlan(nodes: [&Node; 2]) -> Result<()> {
    const DEVICE: &str = "flannel.1";
    let [first, second] = nodes;
    for (own, other) in [(first, second), (second, first)] {
        let (own4, other4) = (own.address.v4, other.address.v4);
        own.ip([format!("link add {DEVICE} type vxlan id 1 dstport 8472 dev eth0 local {own4} remote {other4}")])?;
    }
    route(nodes, DEVICE)
}

/// The same, encrypted by WireGuard, as with Calico.
///
/// # Errors
/// If the kernel has no such devices, or refuses.
pub fn wireguard(nodes: [&Node; 2]) -> Result<()> {
    const DEVICE: &str = "wireguard.cali";
    wireguard::connect(nodes.map(|node| (&**node, DEVICE, node.address.v4.into())))?;
    route(nodes, DEVICE)
}

fn route(nodes: [&Node; 2], device: &str) -> Result<()> {
    let [first, second] = nodes;
    for (own, other) in [(first, second), (second, first)] {
        let ends = [own, other].map(|node| address::tunnel(node.number()));
        let [v4, v6] = other.pod_ranges();
        own.ip([
            format!("addr add {}/24 dev {device}", ends[0].v4),
            format!("addr add {}/64 dev {device} nodad", ends[0].v6),
            format!("link set {device} up"),
            format!("route replace {v4} via {} dev {device}", ends[1].v4),
            format!("route replace {v6} via {} dev {device}", ends[1].v6),
        ])?;
    }
    Ok(())
}
