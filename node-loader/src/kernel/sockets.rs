//! What the kernel's TCP sockets are doing, asked through `sock_diag`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::SockProtocol;

use super::netlink::{Attributes, DUMP, Messages, Socket};
use crate::datapath::DatapathError;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// Bits of states, as numbered in the kernel's `net/tcp_states.h`.
const LISTEN: u32 = 1 << 10;
/// All that a peer may still send to: not TIME_WAIT, CLOSE or LISTEN.
const LIVE: u32 = !((1 << 6) | (1 << 7) | LISTEN);

/// Whether a socket listens on exactly this address and port.
pub(crate) fn listening(address: SocketAddr) -> Result<bool, DatapathError> {
    Ok(count(address, LISTEN)? > 0)
}

/// How many live sockets have this local address and port.
pub(crate) fn connections(address: SocketAddr) -> Result<usize, DatapathError> {
    count(address, LIVE)
}

/// The kernel filters by state and port; the address is compared here.
fn count(local: SocketAddr, states: u32) -> Result<usize, DatapathError> {
    let mut found = 0;
    let mut ask = || {
        let mut messages = Messages::default();
        messages.push(BY_FAMILY, DUMP, &request(local, states), &Attributes::default());
        let socket = Socket::open(SockProtocol::NetlinkSockDiag)?;
        socket.send(&messages)?;
        socket.dump(|body| found += usize::from(source(body) == Some(local)))
    };
    ask().map_err(|errno| DatapathError::netlink(format!("look for sockets of {local}"), errno))?;
    Ok(found)
}

/// `struct inet_diag_req_v2`.
fn request(local: SocketAddr, states: u32) -> [u8; 56] {
    let mut request = [0; 56];
    request[0] = family(local.ip());
    request[1] = libc::IPPROTO_TCP as u8;
    request[4..8].copy_from_slice(&states.to_ne_bytes());
    request[8..10].copy_from_slice(&local.port().to_be_bytes());
    // `INET_DIAG_NOCOOKIE`, twice.
    request[48..56].fill(0xff);
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

fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_and_its_connections_are_seen() {
        for loopback in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let listener = TcpListener::bind((loopback, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            assert!(listening(address).unwrap());
            assert_eq!(connections(address).unwrap(), 0);
            let client = TcpStream::connect(address).unwrap();
            let server = listener.accept().unwrap();
            assert_eq!(connections(address).unwrap(), 1);
            drop(listener);
            assert!(!listening(address).unwrap());
            drop(client);
            drop(server);
            assert_eq!(connections(address).unwrap(), 0);
        }
    }
}
