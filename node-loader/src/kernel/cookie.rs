//! The number by which programs know our network namespace.
#![expect(unsafe_code, reason = "this socket option is in no safe wrapper")]

use std::{io, os::fd::AsRawFd as _};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::datapath::DatapathError;

/// `SO_NETNS_COOKIE`, Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

pub(crate) fn of_network_namespace() -> Result<u64, DatapathError> {
    let failed = |error: io::Error| DatapathError::io("ask for the cookie of the network namespace", error);
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| failed(errno.into()))?;
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    let to = (&raw mut cookie).cast::<libc::c_void>();
    // SAFETY: `to` points to as many bytes as `length` says, which live until the call returns.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, to, &raw mut length) };
    if result == 0 { Ok(cookie) } else { Err(failed(io::Error::last_os_error())) }
}
