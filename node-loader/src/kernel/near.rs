//! The map of what is near: the node's own addresses, those of pods behind its devices, and those that are reached by a device
//! without a program.
//!
//! What is behind a device is what the main routing table says. So it is right for every network plug-in, whatever it calls its
//! ranges.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use axoneme_bpf_common as bpf;
use aya::{
    Ebpf,
    maps::{LpmTrie, MapData, lpm_trie},
};

use super::map::{is_not_found, map_error, take};
use crate::datapath::{DatapathError, SourceRange as Range};

const NEAR: &str = "NEAR";
/// Of an IPv4 address in 16 bytes, the bits before it.
const MAPPED_BITS: u32 = 96;

/// The map, what is in it, and what that follows from.
pub(crate) struct Near {
    map: LpmTrie<MapData, [u8; 16], u32>,
    there: BTreeMap<Range, u32>,
    /// Of every device, as what is behind one may change. Of two routes to one range, the last that was told of.
    routes: BTreeMap<Range, u32>,
    by_device: BTreeMap<u32, BTreeSet<Range>>,
    /// What is behind a device; uplinks are not here, as nothing is near behind them.
    behind: BTreeMap<u32, bpf::Near>,
    own: BTreeSet<Range>,
}

impl Near {
    /// Takes the map over; what an earlier process left in it stays until [`Self::prune`].
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let map: LpmTrie<_, [u8; 16], u32> = take(ebpf, NEAR)?;
        let mut there = BTreeMap::new();
        for item in map.iter() {
            let (key, value) = item.map_err(|error| map_error(NEAR, "read all", error))?;
            there.insert(range(key), value);
        }
        let (routes, by_device, behind, own) = Default::default();
        Ok(Self { map, there, routes, by_device, behind, own })
    }

    /// The routes are listed again.
    pub(crate) fn forget_routes(&mut self) {
        self.routes.clear();
        self.by_device.clear();
    }

    /// A route, in place of another one to the same range. Cost: one map update at most.
    pub(crate) fn add_route(&mut self, range: Range, device: u32) -> Result<(), DatapathError> {
        let before = self.routes.insert(range, device).filter(|before| *before != device);
        if let Some(ranges) = before.and_then(|before| self.by_device.get_mut(&before)) {
            ranges.remove(&range);
        }
        self.by_device.entry(device).or_default().insert(range);
        match self.behind.get(&device).copied() {
            Some(near) => self.put(range, near),
            None if before.is_some() => self.remove(range),
            None => Ok(()),
        }
    }

    /// The same way back.
    pub(crate) fn remove_route(&mut self, range: Range, device: u32) -> Result<(), DatapathError> {
        if self.routes.get(&range) != Some(&device) {
            return Ok(());
        }
        self.routes.remove(&range);
        if let Some(ranges) = self.by_device.get_mut(&device) {
            ranges.remove(&range);
        }
        self.remove(range)
    }

    /// What is behind a device. Cost: its routes.
    pub(crate) fn set_device(&mut self, device: u32, near: Option<bpf::Near>) -> Result<(), DatapathError> {
        let before = match near {
            Some(near) => self.behind.insert(device, near),
            None => self.behind.remove(&device),
        };
        if before == near {
            return Ok(());
        }
        for range in self.by_device.get(&device).cloned().unwrap_or_default() {
            match near {
                Some(near) => self.put(range, near)?,
                None => self.remove(range)?,
            }
        }
        Ok(())
    }

    /// A device is gone, and its routes with it, of which the kernel does not tell.
    pub(crate) fn forget_device(&mut self, device: u32) -> Result<(), DatapathError> {
        self.set_device(device, None)?;
        for range in self.by_device.remove(&device).unwrap_or_default() {
            self.routes.remove(&range);
        }
        Ok(())
    }

    /// The node's own addresses. Cost: all of them.
    pub(crate) fn set_own(&mut self, addresses: impl Iterator<Item = IpAddr>) -> Result<(), DatapathError> {
        let loopback = [Range::new(Ipv4Addr::LOCALHOST.into(), 8), Range::new(Ipv6Addr::LOCALHOST.into(), 128)];
        let own: BTreeSet<Range> = addresses.map(|ip| Range::new(ip, u8::MAX)).chain(loopback).collect();
        let before = std::mem::replace(&mut self.own, own.clone());
        own.iter().try_for_each(|range| self.put(*range, bpf::Near::Own))?;
        before.difference(&own).try_for_each(|range| self.remove(*range))
    }

    /// Takes out what follows from nothing any more.
    pub(crate) fn prune(&mut self) -> Result<(), DatapathError> {
        let is_behind = |range: &Range| self.routes.get(range).is_some_and(|device| self.behind.contains_key(device));
        let wanted = |range: &Range| self.own.contains(range) || is_behind(range);
        let unwanted: Vec<Range> = self.there.keys().filter(|range| !wanted(range)).copied().collect();
        unwanted.into_iter().try_for_each(|range| self.remove(range))
    }

    fn put(&mut self, range: Range, near: bpf::Near) -> Result<(), DatapathError> {
        let near = if self.own.contains(&range) { bpf::Near::Own } else { near } as u32;
        if self.there.get(&range) != Some(&near) {
            let failed = |error| map_error(NEAR, format!("add {range}"), error);
            self.map.insert(&key(range), near, 0).map_err(failed)?;
            self.there.insert(range, near);
        }
        Ok(())
    }

    fn remove(&mut self, range: Range) -> Result<(), DatapathError> {
        if self.own.contains(&range) || !self.there.contains_key(&range) {
            return Ok(());
        }
        match self.map.remove(&key(range)) {
            Err(error) if !is_not_found(&error) => Err(map_error(NEAR, format!("remove {range}"), error)),
            _ => {
                self.there.remove(&range);
                Ok(())
            }
        }
    }
}

fn key(range: Range) -> lpm_trie::Key<[u8; 16]> {
    let (address, before) = match range.address() {
        IpAddr::V4(v4) => (bpf::mapped(v4.octets()), MAPPED_BITS),
        IpAddr::V6(v6) => (v6.octets(), 0),
    };
    lpm_trie::Key::new(before + u32::from(range.length()), address)
}

fn range(key: lpm_trie::Key<[u8; 16]>) -> Range {
    let (address, before) = match Ipv6Addr::from(key.data()).to_ipv4_mapped() {
        Some(v4) if key.prefix_len() >= MAPPED_BITS => (IpAddr::V4(v4), MAPPED_BITS),
        _ => (IpAddr::V6(key.data().into()), 0),
    };
    Range::new(address, u8::try_from(key.prefix_len() - before).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_went() {
        for (address, length) in [("10.231.1.0", 24), ("10.0.0.1", 32), ("fd00:231:1::", 64), ("fd00::1", 128)] {
            let given = Range::new(address.parse().unwrap(), length);
            assert_eq!(range(key(given)), given);
        }
    }
}
