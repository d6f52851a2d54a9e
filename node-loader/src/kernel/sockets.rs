//! What the kernel's TCP sockets are doing, asked through `sock_diag`; and the end of those that had their time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use nix::{errno::Errno, sys::socket::SockProtocol};

use super::{
    config::Marks,
    netlink::{ACK, Attributes, DUMP, Messages, Socket},
};
use crate::datapath::DatapathError;

/// `SOCK_DIAG_BY_FAMILY` and `SOCK_DESTROY` of `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
/// Bits of states, as numbered in the kernel's `net/tcp_states.h`.
const LISTEN: u32 = 1 << 10;
/// All that a peer may still send to: not TIME_WAIT, CLOSE or LISTEN.
const LIVE: u32 = !((1 << 6) | (1 << 7) | LISTEN);
/// `INET_DIAG_MARK`, which the kernel tells whoever has `CAP_NET_ADMIN`.
const MARK: u16 = 15;
/// Where the `struct inet_diag_sockid` is in a `struct inet_diag_msg`, and how long both are.
const ID: std::ops::Range<usize> = 4..52;
const MESSAGE: usize = 72;

/// Whether a socket listens on exactly this address and port.
pub(crate) fn listening(address: SocketAddr) -> Result<bool, DatapathError> {
    let mut found = false;
    visit(address.is_ipv4(), address.port(), LISTEN, |body| found |= source(body) == Some(address))
        .map_err(|errno| failed(format!("look who listens on {address}"), errno))?;
    Ok(found)
}

/// How many live connections of the proxy have these local addresses and ports; those without any are left out.
///
/// The kernel looks for ports, so services that share one, as most do, cost one walk together.
pub(crate) fn connections(
    of: &BTreeSet<SocketAddr>,
    marks: Marks,
) -> Result<BTreeMap<SocketAddr, usize>, DatapathError> {
    let mut found = BTreeMap::new();
    let walks: BTreeSet<(bool, u16)> = of.iter().map(|address| (address.is_ipv4(), address.port())).collect();
    for (is_v4, port) in walks {
        visit(is_v4, port, LIVE, |body| {
            if let Some(local) = source(body).filter(|local| of.contains(local) && is_proxys(body, marks)) {
                *found.entry(local).or_default() += 1;
            }
        })
        .map_err(|errno| failed(format!("count the connections of port {port}"), errno))?;
    }
    Ok(found)
}

/// Ends the proxy's live connections that have this local address and port: each peer gets a RST. Returns how many there were.
pub(crate) fn cut(local: SocketAddr, marks: Marks) -> Result<usize, DatapathError> {
    let mut ids = Vec::new();
    let mut end = || {
        visit(local.is_ipv4(), local.port(), LIVE, |body| {
            if source(body) == Some(local) && is_proxys(body, marks) {
                ids.extend(body.get(ID).map(<[u8]>::to_vec));
            }
        })?;
        ids.iter().try_for_each(|id| destroy(local.is_ipv4(), id))
    };
    end().map_err(|errno| failed(format!("end the connections of {local}"), errno))?;
    Ok(ids.len())
}

/// One that has ended by itself is no error.
fn destroy(is_v4: bool, id: &[u8]) -> Result<(), Errno> {
    let mut request = request(is_v4, LIVE);
    request[8..].copy_from_slice(id);
    let mut messages = Messages::default();
    messages.push(DESTROY, ACK, &request, &Attributes::default());
    let socket = Socket::open(SockProtocol::NetlinkSockDiag)?;
    socket.send(&messages)?;
    match socket.acknowledgements(1) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// Hands the `struct inet_diag_msg` of each socket with this local port and one of these states to `visit`.
fn visit(is_v4: bool, port: u16, states: u32, visit: impl FnMut(&[u8])) -> Result<(), Errno> {
    let mut request = request(is_v4, states);
    request[8..10].copy_from_slice(&port.to_be_bytes());
    // `INET_DIAG_NOCOOKIE`, twice.
    request[48..56].fill(0xff);
    let mut messages = Messages::default();
    messages.push(BY_FAMILY, DUMP, &request, &Attributes::default());
    let socket = Socket::open(SockProtocol::NetlinkSockDiag)?;
    socket.send(&messages)?;
    socket.dump(visit)
}

/// `struct inet_diag_req_v2`, without the socket that is meant.
fn request(is_v4: bool, states: u32) -> [u8; 56] {
    let mut request = [0; 56];
    request[0] = if is_v4 { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 };
    request[1] = libc::IPPROTO_TCP as u8;
    request[4..8].copy_from_slice(&states.to_ne_bytes());
    request
}

/// The local address in a `struct inet_diag_msg`.
fn source(body: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*body.get(4)?, *body.get(5)?]);
    let address: [u8; 16] = *body.get(8..)?.first_chunk()?;
    let ip = if i32::from(*body.first()?) == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(address))
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a socket came from one of the proxy's listeners: a process of the node may have the address of a node port, too.
fn is_proxys(body: &[u8], marks: Marks) -> bool {
    let mut attributes = body.get(MESSAGE..).unwrap_or_default();
    while let Some((kind, value, rest)) = attribute(attributes) {
        if kind == MARK {
            let mark = value.first_chunk().map(|mark| u32::from_ne_bytes(*mark));
            return mark.is_some_and(|mark| mark & marks.mask == marks.listener);
        }
        attributes = rest;
    }
    false
}

/// Kind and value of the first attribute, and the rest.
fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
    let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    Some((kind, bytes.get(4..length)?, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn failed(what: String, errno: Errno) -> DatapathError {
    DatapathError::netlink(what, errno)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_seen() {
        for loopback in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let listener = TcpListener::bind((loopback, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            assert!(listening(address).unwrap());
            drop(listener);
            assert!(!listening(address).unwrap());
        }
    }
}
