//! One loader at a time: two with the same pins would each take the other's maps and rules for leftovers.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixListener},
    },
};

use super::Config;
use crate::datapath::DatapathError;

/// Held as long as the process has it; the kernel takes it back, however the process ends.
///
/// An abstract socket belongs to the network namespace, as rules and devices do, and needs no folder that could be written.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] UnixListener);

/// Takes the place of the loader of this network namespace and pin directory.
///
/// # Errors
/// [`DatapathError::Taken`] while another loader is at work there.
pub fn lock(config: &Config) -> Result<Lock, DatapathError> {
    let name = [b"axoneme ".as_slice(), config.pin_dir.as_os_str().as_bytes()].concat();
    let failed = |error| DatapathError::io("take the place of this node's loader", error);
    let address = SocketAddr::from_abstract_name(name).map_err(failed)?;
    match UnixListener::bind_addr(&address) {
        Ok(listener) => Ok(Lock(listener)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(DatapathError::Taken(config.pin_dir.clone()))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_has_gone() {
        let config = Config { pin_dir: format!("/lock-test-{}", std::process::id()).into(), ..Config::default() };
        let first = lock(&config).unwrap();
        assert!(lock(&config).unwrap_err().to_string().contains("another loader is at work"));
        drop(first);
        lock(&config).unwrap();
    }
}
