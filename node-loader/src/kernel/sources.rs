//! The map of who may connect from outside: ranges of addresses, by service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use axoneme_bpf_common as bpf;
use aya::{
    Ebpf,
    maps::{LpmTrie, MapData, lpm_trie},
};

use super::{
    earlier,
    map::{SOURCES, is_not_found, map_error, take},
    pins::Pins,
};
use crate::datapath::{DatapathError, ServiceId, SourceRange};

/// Of an IPv4 address in 16 bytes, the bits before it.
const MAPPED_BITS: u32 = 96;

type Key = lpm_trie::Key<bpf::SourceKey>;

/// The map, and what is in it.
pub(crate) struct SourceRanges {
    map: LpmTrie<MapData, bpf::SourceKey, u32>,
    there: BTreeMap<ServiceId, BTreeSet<SourceRange>>,
}

impl SourceRanges {
    /// Takes the map over, with what an earlier process left in it, or in that of another layout, for services that are
    /// `in_use`. Without it everybody would be refused until the ranges are listed again.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins, in_use: &BTreeSet<ServiceId>) -> Result<Self, DatapathError> {
        let mut map: LpmTrie<_, _, _> = take(ebpf, SOURCES)?;
        for key in earlier::sources(pins)? {
            map.insert(&key, 1, 0).map_err(|error| map_error(SOURCES, "copy from another layout", error))?;
        }
        let mut there = BTreeMap::<_, BTreeSet<_>>::new();
        for key in map.keys() {
            let (service, range) = read(key.map_err(|error| map_error(SOURCES, "read all", error))?);
            there.entry(service).or_default().insert(range);
        }
        let mut ranges = Self { map, there };
        let unused: Vec<ServiceId> = ranges.there.keys().filter(|it| !in_use.contains(it)).copied().collect();
        for service in unused {
            ranges.set(service, &BTreeSet::new())?;
        }
        Ok(ranges)
    }

    /// Replaces the ranges of a service. New ones come first. After an error, what is in the map is known, and the next call
    /// goes on from there.
    pub(crate) fn set(&mut self, service: ServiceId, wanted: &BTreeSet<SourceRange>) -> Result<(), DatapathError> {
        let there = self.there.entry(service).or_default();
        let (new, old): (Vec<_>, Vec<_>) =
            (wanted.difference(there).copied().collect(), there.difference(wanted).copied().collect());
        for range in new {
            let failed = |error| map_error(SOURCES, format!("add {range} for service {}", service.0), error);
            self.map.insert(&key(service, range), 1, 0).map_err(failed)?;
            there.insert(range);
        }
        for range in old {
            match self.map.remove(&key(service, range)) {
                Err(error) if !is_not_found(&error) => {
                    return Err(map_error(SOURCES, format!("remove {range} of service {}", service.0), error));
                }
                _ => there.remove(&range),
            };
        }
        if there.is_empty() {
            self.there.remove(&service);
        }
        Ok(())
    }
}

fn key(ServiceId(service): ServiceId, range: SourceRange) -> Key {
    let (family, address, before) = match range.address() {
        IpAddr::V4(v4) => (4, bpf::mapped(v4.octets()), MAPPED_BITS),
        IpAddr::V6(v6) => (6, v6.octets(), 0),
    };
    let bits = bpf::SourceKey::BITS_BEFORE_ADDRESS + before + u32::from(range.length());
    Key::new(bits, bpf::SourceKey { service, family, address })
}

fn read(key: Key) -> (ServiceId, SourceRange) {
    let bpf::SourceKey { service, family, address } = key.data();
    let (address, before) = match (family, Ipv6Addr::from(address).to_ipv4_mapped()) {
        (4, Some(v4)) => (IpAddr::V4(v4), MAPPED_BITS),
        _ => (IpAddr::V6(address.into()), 0),
    };
    let length = key.prefix_len().saturating_sub(bpf::SourceKey::BITS_BEFORE_ADDRESS + before);
    (ServiceId(service), SourceRange::new(address, u8::try_from(length).unwrap_or(u8::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_went() {
        for (address, length) in [("10.0.0.0", 8), ("0.0.0.0", 0), ("2001:db8::", 32), ("::", 0), ("::1", 128)] {
            let range = SourceRange::new(address.parse().unwrap(), length);
            assert_eq!(read(key(ServiceId(7), range)), (ServiceId(7), range));
        }
    }
}
