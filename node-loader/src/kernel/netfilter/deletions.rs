//! Hears when somebody deletes something of our table: firewalls flush all tables when they start anew.
#![expect(unsafe_code, reason = "whoever waits for a descriptor has to promise that it stays open")]

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{super::netlink::messages, nft};
use crate::datapath::DatapathError;

/// `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << 6;
/// More than the kernel puts into one datagram, in bytes.
const LARGEST: usize = 64 * 1024;
/// `struct nfgenmsg`.
const HEADER: usize = 4;

/// A stream of what is deleted. It also tells of what we delete ourselves.
pub(crate) struct Deletions {
    socket: AsyncFd<OwnedFd>,
    /// As the kernel writes it, with a closing zero.
    table: Vec<u8>,
}

impl Deletions {
    pub(crate) fn hear(table: &str) -> Result<Self, DatapathError> {
        let failed = |errno: Errno| DatapathError::io("hear of changes of nftables", errno.into());
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd =
            socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter).map_err(failed)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUP)).map_err(failed)?;
        // SAFETY: the socket keeps its one descriptor open for as long as it lives.
        let socket = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        let socket = socket.map_err(|error| DatapathError::io("wait for changes of nftables", error.into()))?;
        Ok(Self { socket, table: table.bytes().chain([0]).collect() })
    }

    /// Waits until something of the table is deleted, or may have been. Cost: whatever changes in nftables.
    pub(crate) async fn next(&mut self) -> Result<(), DatapathError> {
        let failed = |error| DatapathError::io("hear of changes of nftables", error);
        let mut buffer = vec![0; LARGEST];
        loop {
            let mut ready = self.socket.readable_mut().await.map_err(failed)?;
            let read = ready.try_io(|socket| Ok(recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?));
            match read {
                Ok(Ok(length)) => {
                    if is_about(buffer.get(..length).unwrap_or_default(), &self.table) {
                        return Ok(());
                    }
                }
                // More happened than fits into the socket.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Ok(Err(error)) => return Err(failed(error)),
                // Nothing to read after all.
                Err(_) => {}
            }
        }
    }
}

/// Whether one of these messages deletes something of the table. Its name is the first attribute of all three.
fn is_about(datagram: &[u8], table: &[u8]) -> bool {
    messages(datagram).any(|(kind, body)| {
        let [what, subsystem] = kind.to_le_bytes();
        let deletes = [nft::DELETE_TABLE, nft::DELETE_CHAIN, nft::DELETE_RULE].contains(&what.into());
        let name = body.get(HEADER + 4..).unwrap_or_default();
        u16::from(subsystem) == nft::SUBSYSTEM && deletes && name.starts_with(table)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::netlink::{Attributes, Messages},
        *,
    };

    #[test]
    fn only_deletions_in_our_table_count() {
        let one = |kind: u16, table: &str| {
            let mut messages = Messages::default();
            let header = [nft::FAMILY_INET, 0, 0, 0];
            let kind = (nft::SUBSYSTEM << 8) | kind;
            // Somebody else's comes first.
            messages.push((nft::SUBSYSTEM << 8) | nft::NEW_RULE, 0, &header, &Attributes::default().text(1, "axoneme"));
            messages.push(kind, 0, &header, &Attributes::default().text(1, table).text(3, "other"));
            is_about(messages.bytes(), b"axoneme\0")
        };
        let kinds = [nft::DELETE_TABLE, nft::DELETE_CHAIN, nft::DELETE_RULE];
        assert!(kinds.into_iter().all(|kind| one(kind, "axoneme")));
        assert!(kinds.into_iter().all(|kind| !one(kind, "axonem") && !one(kind, "axoneme2")));
        assert!(!one(nft::NEW_TABLE, "axoneme"));
        assert!(!is_about(&[1, 2, 3], b"axoneme\0") && !is_about(&[], b"axoneme\0"));
    }
}
