//! From the kernel's messages to what we keep of them.

use std::net::IpAddr;

use rtnetlink::packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};

use super::{
    devices::{Device, Kind},
    routing,
};
use crate::datapath::SourceRange;

/// A device with its number. A bridge tells of its ports in messages of their own, which are not about devices.
pub(crate) fn device(link: &LinkMessage) -> Option<(u32, Device)> {
    if link.header.interface_family == AddressFamily::Bridge {
        return None;
    }
    let (mut name, mut master) = (String::new(), None);
    let loopback = link.header.flags.contains(LinkFlags::Loopback);
    let mut kind = if loopback { Kind::Loopback } else { Kind::Physical };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(it) => name.clone_from(it),
            LinkAttribute::Controller(it) => master = Some(*it),
            LinkAttribute::LinkInfo(info) => kind = kind_of(info).unwrap_or(kind),
            _ => {}
        }
    }
    Some((link.header.index, Device { name, kind, master }))
}

/// Its link-layer address, where it has one of Ethernet.
pub(crate) fn link_address(link: &LinkMessage) -> Option<[u8; 6]> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(address) => address.as_slice().try_into().ok(),
        _ => None,
    })
}

fn kind_of(info: &[LinkInfo]) -> Option<Kind> {
    info.iter().find_map(|info| match info {
        LinkInfo::Kind(InfoKind::Veth | InfoKind::Netkit) => Some(Kind::Pair),
        LinkInfo::Kind(InfoKind::Bridge) => Some(Kind::Bridge),
        LinkInfo::Kind(InfoKind::Vrf) => Some(Kind::Vrf),
        LinkInfo::Kind(_) => Some(Kind::Other),
        _ => None,
    })
}

/// A global address that is in use, with its device.
pub(crate) fn address(message: &AddressMessage) -> Option<(u32, IpAddr)> {
    if message.header.scope != AddressScope::Universe || message.header.flags.contains(AddressHeaderFlags::Tentative) {
        return None;
    }
    let find = |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    // Of a point-to-point device, the address is the peer's.
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let other = find(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    Some((message.header.index, local.or(other)?))
}

/// A default route of the main table.
pub(crate) fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0
        && route.header.kind == RouteType::Unicast
        && routing::table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
}

/// A route of the main table to less than everything, with the one device that it leads out of.
pub(crate) fn subnet(route: &RouteMessage) -> Option<(SourceRange, u32)> {
    let length = route.header.destination_prefix_length;
    let main = routing::table(route) == u32::from(RouteHeader::RT_TABLE_MAIN);
    let [device] = *outputs(route).as_slice() else { return None };
    if length == 0 || route.header.kind != RouteType::Unicast || !main {
        return None;
    }
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    Some((SourceRange::new(address?, length), device))
}

/// The devices that a route leads out of.
pub(crate) fn outputs(route: &RouteMessage) -> Vec<u32> {
    let mut outputs = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => outputs.push(*index),
            RouteAttribute::MultiPath(hops) => outputs.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    outputs
}
