//! Ports that the kernel gives to outgoing connections: it may take one that the proxy is to listen on.
//!
//! We do not write sysctls: in a pod they are read-only, and what is written outlives us. A listener that meets a taken port moves
//! to another; this tells that it may happen, and how to prevent it.

use std::{fs, ops::RangeInclusive};

use super::PortRange;

const LOCAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// How many of the proxy's ports the kernel may give away, and what to do about it. `None`: not one, or nobody knows.
///
/// Of this network namespace; both families share the sysctls.
#[must_use]
pub fn at_risk(range: PortRange) -> Option<(usize, String)> {
    let (local, reserved) = (fs::read_to_string(LOCAL).ok()?, fs::read_to_string(RESERVED).unwrap_or_default());
    let count = overlap(range, &local, &reserved);
    let why = || {
        format!(
            "{count} proxy ports of {range} are in net.ipv4.ip_local_port_range ({}), so that outgoing connections may take \
             them; listeners then move to other ports. To prevent it, add {range} to net.ipv4.ip_local_reserved_ports, or \
             choose another --port-range",
            local.split_whitespace().collect::<Vec<_>>().join("-")
        )
    };
    (count > 0).then(|| (count, why()))
}

/// `local` is as in `32768\t60999`, `reserved` as in `8080,9148-9150`; what is not like that counts for nothing.
fn overlap(range: PortRange, local: &str, reserved: &str) -> usize {
    let mut ends = local.split_whitespace().map(str::parse);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else { return 0 };
    let local: RangeInclusive<u16> = first..=last;
    let reserved: Vec<RangeInclusive<u16>> = reserved.trim().split(',').filter_map(ports).collect();
    let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
    (range.first..=range.last).filter(|port| local.contains(port) && !is_reserved(port)).count()
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_outgoing_connections_may_take_are_counted() {
        let range = PortRange::DEFAULT;
        for (local, reserved, count) in [
            ("32768\t60999\n", "\n", 0),
            ("1024\t65535\n", "\n", 10_001),
            ("20000\t60999\n", "", 1),
            ("1024\t65535\n", "10000-20000\n", 0),
            ("1024\t65535\n", "8080,10000-19990,19995,20001-30000\n", 9),
            ("nonsense", "", 0),
        ] {
            assert_eq!(overlap(range, local, reserved), count, "{local:?} {reserved:?}");
        }
    }
}
