//! Proxy ports: one for each listener that the node binds itself, the same number for IPv4 and IPv6.
//!
//! A name keeps its port for as long as it exists, and finds it again when it comes back soon: a search begins at a place
//! that the name decides, and a port that was given back is taken by others last, the longest rested first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    str::FromStr,
    sync::Arc,
};

mod ephemeral;

pub use ephemeral::at_risk;

/// Ports to choose from, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range that Cilium uses as well.
    pub const DEFAULT: Self = Self { first: 10_000, last: 20_000 };

    fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// All ports, beginning at a place that the name decides.
    fn starting_at(self, name: &str) -> impl Iterator<Item = u16> {
        let len = u32::from(self.last - self.first) + 1;
        let start = fnv(name) % len;
        let nth = move |n| u16::try_from(u32::from(self.first) + (start + n) % len).unwrap_or(self.last);
        (0..len).map(nth)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a range of ports such as {}", Self::DEFAULT);
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if first == 0 || first > last { Err(wrong()) } else { Ok(Self { first, last }) }
    }
}

/// No port is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no free proxy port in {range}: listeners hold {held}, other programs the rest; widen --port-range")]
pub struct Exhausted {
    range: PortRange,
    held: usize,
}

/// Who holds which port. Plain data; whether a port can be bound is asked through a callback.
#[derive(Debug)]
pub struct Ports {
    range: PortRange,
    held: BTreeMap<Arc<str>, u16>,
    holders: BTreeMap<u16, Arc<str>>,
    /// Given back, by the time of it.
    resting: BTreeMap<u64, u16>,
    rested: BTreeMap<u16, u64>,
    /// The port that a name had.
    former: BTreeMap<Arc<str>, u16>,
    clock: u64,
}

impl Ports {
    /// Nobody holds anything.
    #[must_use]
    pub fn new(range: PortRange) -> Self {
        Self {
            range,
            held: BTreeMap::new(),
            holders: BTreeMap::new(),
            resting: BTreeMap::new(),
            rested: BTreeMap::new(),
            former: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Gives a name the port that it is known to have, without asking whether it can be bound: the proxy that outlived us
    /// listens on it. One that another name holds, or outside the range, is left alone.
    pub fn adopt(&mut self, name: &Arc<str>, port: u16) {
        if self.range.contains(port) && !self.holders.contains_key(&port) {
            self.release(name);
            self.hold(name, port);
        }
    }

    /// The name's port, a new one if it has none. Cost: as many questions as unusable ports are met.
    ///
    /// # Errors
    /// [`Exhausted`] when none can be bound.
    pub fn allocate(&mut self, name: &Arc<str>, is_free: &dyn Fn(u16) -> bool) -> Result<u16, Exhausted> {
        if let Some(port) = self.held.get(name) {
            return Ok(*port);
        }
        let former = self.former.get(name).copied().filter(|port| !self.holders.contains_key(port));
        let fresh = || self.range.starting_at(name).filter(|port| !self.rested.contains_key(port));
        let port = former
            .into_iter()
            .chain(fresh())
            .chain(self.resting.values().copied())
            .find(|port| !self.holders.contains_key(port) && is_free(*port));
        let port = port.ok_or(Exhausted { range: self.range, held: self.held.len() })?;
        self.hold(name, port);
        Ok(port)
    }

    /// Another port for a name whose port turned out to be taken.
    ///
    /// # Errors
    /// [`Exhausted`] when none can be bound; the name then has none.
    pub fn replace(&mut self, name: &Arc<str>, is_free: &dyn Fn(u16) -> bool) -> Result<u16, Exhausted> {
        self.release(name);
        let conflict = self.former.remove(name);
        self.allocate(name, &|port| Some(port) != conflict && is_free(port))
    }

    /// Gives the name's port back. It rests: the same name finds it again, others take it last.
    pub fn release(&mut self, name: &Arc<str>) {
        let Some(port) = self.held.remove(name) else { return };
        self.holders.remove(&port);
        self.clock += 1;
        self.resting.insert(self.clock, port);
        self.rested.insert(port, self.clock);
        self.former.insert(name.clone(), port);
    }

    /// The port that a name holds.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u16> {
        self.held.get(name).copied()
    }

    /// Who holds a port.
    #[must_use]
    pub fn holder(&self, port: u16) -> Option<&Arc<str>> {
        self.holders.get(&port)
    }

    fn hold(&mut self, name: &Arc<str>, port: u16) {
        if let Some(since) = self.rested.remove(&port) {
            self.resting.remove(&since);
            self.former.retain(|_, former| *former != port);
        }
        self.held.insert(name.clone(), port);
        self.holders.insert(port, name.clone());
    }

    /// The ports that rest.
    #[must_use]
    pub fn resting(&self) -> BTreeSet<u16> {
        self.rested.keys().copied().collect()
    }
}

/// Whether the proxy could bind the port on the loopback addresses.
#[must_use]
pub fn is_free(port: u16, ipv6: bool) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && (!ipv6 || TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok())
}

/// FNV-1a, 32 bits: the same on every machine and release.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
