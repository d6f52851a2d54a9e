//! Tunnels of WireGuard: devices without a link-layer header, as VPNs have them and network plug-ins that encrypt.

use std::net::IpAddr;

use crate::{Namespace, Result};

/// The port of each end.
const PORT: u16 = 51_820;

/// An end: where it is, what its device is called, and the address by which the other end finds it.
pub type End<'a> = (&'a Namespace, &'a str, IpAddr);

/// Makes a device at each end. They are down, have no addresses, and let everything pass.
///
/// # Errors
/// If the kernel has no such devices, or there is no `wg`.
pub fn connect(ends: [End<'_>; 2]) -> Result<()> {
    let [first, second] = ends;
    let secrets = [secret(first.0)?, secret(second.0)?];
    for (own, other, at) in [(first, second, 0), (second, first, 1)] {
        let (place, device, _) = own;
        place.ip([format!("link add {device} type wireguard")])?;
        place.feed(
            "wg",
            &["set", device, "listen-port", &PORT.to_string(), "private-key", "/dev/stdin"],
            &secrets[at],
        )?;
        let public = place.run("sh", ["-c", "echo \"$0\" | wg pubkey", &secrets[1 - at]])?;
        let endpoint = std::net::SocketAddr::new(other.2, PORT).to_string();
        let peer = ["set", device, "peer", public.trim(), "endpoint", &endpoint, "allowed-ips", "0.0.0.0/0,::/0"];
        place.run("wg", peer)?;
    }
    Ok(())
}

fn secret(place: &Namespace) -> Result<String> {
    Ok(place.run("wg", ["genkey"])?.trim().to_owned())
}
