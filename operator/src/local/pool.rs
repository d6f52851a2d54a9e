//! Pools of addresses and node ports. A name hashes to its place, so it finds it again; when the place is taken, the next
//! free one is given.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::source::{LoadBalancerAddress, Name, Object, Service, ServiceType};

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Cluster IPs: at most one network of each family, each gives one address to every Service.
    pub cluster: Vec<Network>,
    /// Addresses of load balancers, likewise.
    pub load_balancer: Vec<Network>,
    /// Node ports.
    pub node_ports: RangeInclusive<u16>,
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    size: u128,
    is_v4: bool,
}

/// Nothing is left of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {pool} is left")]
pub struct Exhausted {
    /// Which pool.
    pub pool: &'static str,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no network such as 10.96.0.0/16 or fd00:96::/112");
        let (ip, length) = text.split_once('/').ok_or_else(wrong)?;
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let length: u32 = length.parse().map_err(|_| wrong())?;
        let (bits, value, is_v4) = match ip {
            IpAddr::V4(ip) => (32, u128::from(u32::from(ip)), true),
            IpAddr::V6(ip) => (128, u128::from(ip), false),
        };
        // A whole family in one pool would be no pool.
        let host = bits - length.min(bits);
        if length > bits || host > 64 {
            return Err(wrong());
        }
        let size = 1u128 << host;
        Ok(Self { base: value & !(size - 1), size, is_v4 })
    }
}

impl Network {
    fn address(&self, at: u128) -> IpAddr {
        let value = self.base + at;
        if self.is_v4 {
            // The base has 32 bits and the size keeps within them.
            IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(u32::MAX)))
        } else {
            IpAddr::V6(Ipv6Addr::from(value))
        }
    }
}

/// Who has which address and node port.
#[derive(Debug)]
pub(super) struct Allocator {
    pools: Pools,
    addresses: Leases<IpAddr>,
    ports: Leases<u16>,
}

impl Allocator {
    pub(super) fn new(pools: Pools) -> Self {
        Self { pools, addresses: Leases::default(), ports: Leases::default() }
    }

    /// Notes what a Service asks for by itself.
    pub(super) fn reserve(&mut self, object: &Object) {
        if let Object::Service(service) = object {
            let name = &service.meta.name;
            service.addresses().into_iter().for_each(|address| self.addresses.take(name, address));
            service.ports.iter().filter_map(|port| port.node_port).for_each(|port| self.ports.take(name, port));
        }
    }

    /// Fills what the Service leaves open. What it was given before, it is given again.
    pub(super) fn complete(&mut self, service: &mut Service) -> Result<(), Exhausted> {
        let name = service.meta.name.clone();
        self.addresses.begin(&name);
        self.ports.begin(&name);
        self.reserve(&Object::Service(service.clone()));
        if service.headless || service.type_ == ServiceType::ExternalName {
            return Ok(());
        }
        if service.cluster_ips.is_empty() {
            for network in &self.pools.cluster {
                service.cluster_ips.push(address(&mut self.addresses, network, &name, "cluster IP")?);
            }
        }
        if service.type_ == ServiceType::LoadBalancer && service.load_balancer.is_empty() {
            for network in &self.pools.load_balancer {
                let ip = address(&mut self.addresses, network, &name, "load balancer address")?;
                service.load_balancer.push(LoadBalancerAddress::ip(ip));
            }
        }
        if matches!(service.type_, ServiceType::NodePort | ServiceType::LoadBalancer) {
            let (first, last) = (*self.pools.node_ports.start(), *self.pools.node_ports.end());
            let count = u128::from(last.saturating_sub(first)) + 1;
            for port in service.ports.iter_mut().filter(|port| port.node_port.is_none()) {
                let nth = |at: u128| first + u16::try_from(at).unwrap_or_default();
                let free = self.ports.lease(&name, &port.port.to_string(), count, nth);
                port.node_port = Some(free.ok_or(Exhausted { pool: "node port" })?);
            }
        }
        Ok(())
    }

    pub(super) fn release(&mut self, name: &Name) {
        self.addresses.release(name);
        self.ports.release(name);
    }
}

/// The first and last address of a network are for nobody.
fn address(
    leases: &mut Leases<IpAddr>,
    network: &Network,
    name: &Name,
    pool: &'static str,
) -> Result<IpAddr, Exhausted> {
    let usable = network.size.saturating_sub(2);
    let purpose = format!("{pool} {}", network.address(0));
    leases.lease(name, &purpose, usable, |at| network.address(at + 1)).ok_or(Exhausted { pool })
}

/// Who has what, and for what purpose.
#[derive(Debug)]
struct Leases<T> {
    taken: BTreeMap<T, Name>,
    held: BTreeMap<Name, BTreeMap<String, T>>,
    /// What the Service at hand had before.
    before: BTreeMap<String, T>,
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), held: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<T: Ord + Copy + ToString> Leases<T> {
    /// Starts over with a Service.
    fn begin(&mut self, name: &Name) {
        self.before = self.release(name);
    }

    /// The first one who asks for something by itself keeps it.
    fn take(&mut self, name: &Name, what: T) {
        self.hold(name, what.to_string(), what);
    }

    fn hold(&mut self, name: &Name, purpose: String, what: T) {
        if self.taken.entry(what).or_insert_with(|| name.clone()) == name {
            self.held.entry(name.clone()).or_default().insert(purpose, what);
        }
    }

    /// What it had before, else the first free one from its own place on, around the end. Looks at no more than are
    /// taken, and one.
    fn lease(&mut self, name: &Name, purpose: &str, count: u128, nth: impl Fn(u128) -> T) -> Option<T> {
        let start = hash(&format!("{name}:{purpose}")).checked_rem(count)?;
        let tries = count.min(self.taken.len() as u128 + 1);
        let around = (0..tries).map(|step| nth((start + step) % count));
        let mut candidates = self.before.get(purpose).copied().into_iter().chain(around);
        let free = candidates.find(|candidate| !self.taken.contains_key(candidate))?;
        self.hold(name, purpose.to_owned(), free);
        Some(free)
    }

    fn release(&mut self, name: &Name) -> BTreeMap<String, T> {
        let held = self.held.remove(name).unwrap_or_default();
        for what in held.values() {
            self.taken.remove(what);
        }
        held
    }
}

/// FNV-1a, 64 bits: the same in every release, which the standard library's hashers do not promise.
fn hash(text: &str) -> u128 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    u128::from(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
