//! An overlay underneath the pods: what they say to those of the other node travels in vxlan, as with flannel.

use crate::{Node, Result, address};

/// The device, as flannel calls it.
const DEVICE: &str = "flannel.1";

/// Makes the overlay of two nodes, in place of the plain routes between their pods.
///
/// # Errors
/// If the kernel refuses.
pub fn vxlan(nodes: [&Node; 2]) -> Result<()> {
    let [first, second] = nodes;
    for (own, other) in [(first, second), (second, first)] {
        let ends = [own, other].map(|node| address::tunnel(node.number()));
        let [v4, v6] = other.pod_ranges();
        own.ip([
            format!(
                "link add {DEVICE} type vxlan id 1 dstport 8472 dev eth0 local {} remote {}",
                own.address.v4, other.address.v4
            ),
            format!("addr add {}/24 dev {DEVICE}", ends[0].v4),
            format!("addr add {}/64 dev {DEVICE} nodad", ends[0].v6),
            format!("link set {DEVICE} up"),
            format!("route replace {v4} via {} dev {DEVICE}", ends[1].v4),
            format!("route replace {v6} via {} dev {DEVICE}", ends[1].v6),
        ])?;
    }
    Ok(())
}
