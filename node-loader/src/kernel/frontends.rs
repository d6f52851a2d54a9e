//! The maps: frontends, the settings of the programs, and counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use axoneme_bpf_common as bpf;
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues},
    util::nr_cpus,
};

use super::{
    earlier,
    map::{COUNTERS, FRONTENDS, is_not_found, is_there, map_error, take},
    pins::Pins,
};
use crate::datapath::{Counters, DatapathError, Entry, FrontendState, OnProxyFailure, Reason, ServiceId, Sources};

const SETTINGS: &str = "SETTINGS";

/// `BPF_NOEXIST`.
const ONLY_NEW: u64 = 1;

/// The map of frontends with the counters of their services.
pub(crate) struct Frontends {
    frontends: HashMap<MapData, bpf::FrontendKey, bpf::Frontend>,
    counters: PerCpuHashMap<MapData, u32, bpf::Tally>,
    /// Whose counters each frontend moves, and how many frontends each service has: counters go with the last one.
    services: BTreeMap<SocketAddr, ServiceId>,
    users: BTreeMap<ServiceId, usize>,
}

impl Frontends {
    /// Takes the maps over, with what an earlier process left in them, or in those of another layout.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins) -> Result<Self, DatapathError> {
        let mut frontends: HashMap<_, _, _> = take(ebpf, FRONTENDS)?;
        for (key, value) in earlier::frontends(pins)? {
            if let Err(error) = entry(value) {
                tracing::warn!(?key, %error, "a frontend of another layout means nothing to us; its connections break");
                continue;
            }
            match frontends.insert(key, value, ONLY_NEW) {
                Err(error) if !is_there(&error) => return Err(map_error(FRONTENDS, "copy from another layout", error)),
                _ => {}
            }
        }
        let mut counters: PerCpuHashMap<_, _, _> = take(ebpf, COUNTERS)?;
        for (service, tallies) in earlier::counters(pins)? {
            let copied = PerCpuValues::try_from(tallies).map_err(MapError::from);
            match copied.and_then(|tallies| counters.insert(service, tallies, ONLY_NEW)) {
                Err(error) if !is_there(&error) => return Err(map_error(COUNTERS, "copy from another layout", error)),
                _ => {}
            }
        }
        let mut maps = Self { frontends, counters, services: BTreeMap::new(), users: BTreeMap::new() };
        for (frontend, entry) in maps.entries()? {
            maps.count_user(frontend, entry.service)?;
        }
        Ok(maps)
    }

    pub(crate) fn set(&mut self, frontend: SocketAddr, entry: Entry) -> Result<(), DatapathError> {
        self.count_user(frontend, entry.service)?;
        let failed = |error| map_error(FRONTENDS, format!("set {frontend}"), error);
        self.frontends.insert(key(frontend), value(entry), 0).map_err(failed)
    }

    pub(crate) fn remove(&mut self, frontend: SocketAddr) -> Result<(), DatapathError> {
        match self.frontends.remove(&key(frontend)) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(map_error(FRONTENDS, format!("remove {frontend}"), error)),
        }
        match self.services.remove(&frontend) {
            Some(service) => self.forget_user(service),
            None => Ok(()),
        }
    }

    pub(crate) fn entries(&self) -> Result<BTreeMap<SocketAddr, Entry>, DatapathError> {
        let mut entries = BTreeMap::new();
        for item in self.frontends.iter() {
            let (key, value) = item.map_err(|error| map_error(FRONTENDS, "read all", error))?;
            entries.insert(frontend(key), entry(value)?);
        }
        Ok(entries)
    }

    pub(crate) fn counters(&self) -> Result<Counters, DatapathError> {
        let mut counters = Counters::new();
        for item in self.counters.iter() {
            let (service, tallies) = item.map_err(|error| map_error(COUNTERS, "read all", error))?;
            for (at, reason) in Reason::ALL.into_iter().enumerate() {
                let sum = tallies.iter().filter_map(|tally| tally.counts.get(at)).sum();
                counters.insert((ServiceId(service), reason), sum);
            }
        }
        Ok(counters)
    }

    /// Who has frontends.
    pub(crate) fn services(&self) -> BTreeSet<ServiceId> {
        self.users.keys().copied().collect()
    }

    fn count_user(&mut self, frontend: SocketAddr, service: ServiceId) -> Result<(), DatapathError> {
        let before = self.services.insert(frontend, service);
        if before == Some(service) {
            return Ok(());
        }
        let users = self.users.entry(service).or_default();
        *users += 1;
        if *users == 1 {
            self.make_counters(service)?;
        }
        before.map_or(Ok(()), |before| self.forget_user(before))
    }

    /// Counters of an earlier process go on.
    fn make_counters(&mut self, service: ServiceId) -> Result<(), DatapathError> {
        let failed = |message: String| map_error(COUNTERS, format!("make those of service {}", service.0), message);
        let cpus = nr_cpus().map_err(|(file, error)| failed(format!("{file}: {error}")))?;
        let zero = PerCpuValues::try_from(vec![bpf::Tally::default(); cpus]).map_err(|e| failed(e.to_string()))?;
        match self.counters.insert(service.0, zero, ONLY_NEW) {
            Err(error) if !is_there(&error) => Err(failed(error.to_string())),
            _ => Ok(()),
        }
    }

    fn forget_user(&mut self, service: ServiceId) -> Result<(), DatapathError> {
        if let Some(users) = self.users.get_mut(&service) {
            *users -= 1;
            if *users > 0 {
                return Ok(());
            }
        }
        self.users.remove(&service);
        match self.counters.remove(&service.0) {
            Err(error) if !is_not_found(&error) => Err(map_error(COUNTERS, format!("remove {}", service.0), error)),
            _ => Ok(()),
        }
    }
}

/// Writes the settings of the programs.
pub(crate) struct Settings(Array<MapData, bpf::Settings>);

impl Settings {
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        take(ebpf, SETTINGS).map(Self)
    }

    pub(crate) fn write(&mut self, settings: bpf::Settings) -> Result<(), DatapathError> {
        self.0.set(0, settings, 0).map_err(|error| map_error(SETTINGS, "write", error))
    }
}

fn key(frontend: SocketAddr) -> bpf::FrontendKey {
    let address = match frontend.ip() {
        IpAddr::V4(v4) => bpf::mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    };
    bpf::FrontendKey::tcp(address, frontend.port().to_be_bytes())
}

fn frontend(key: bpf::FrontendKey) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(key.address).to_canonical(), u16::from_be_bytes(key.port))
}

fn value(entry: Entry) -> bpf::Frontend {
    let state = match entry.state {
        FrontendState::On => bpf::State::On,
        FrontendState::Draining => bpf::State::Draining,
    };
    let failure = match entry.on_proxy_failure {
        OnProxyFailure::Bypass => bpf::Failure::Bypass,
        OnProxyFailure::Refuse => bpf::Failure::Refuse,
        OnProxyFailure::RefuseAll => bpf::Failure::RefuseAll,
    };
    let sources = match entry.sources {
        Sources::All => bpf::Sources::All,
        Sources::Listed => bpf::Sources::Listed,
    };
    bpf::Frontend {
        service: entry.service.0,
        proxy_port: entry.proxy_port.to_be_bytes(),
        state: state as u8,
        failure: failure as u8,
        sources: sources as u8,
        zero: [0; 3],
    }
}

fn entry(value: bpf::Frontend) -> Result<Entry, DatapathError> {
    let state = [(bpf::State::On, FrontendState::On), (bpf::State::Draining, FrontendState::Draining)]
        .into_iter()
        .find_map(|(there, here)| (there as u8 == value.state).then_some(here));
    let failure = [
        (bpf::Failure::Bypass, OnProxyFailure::Bypass),
        (bpf::Failure::Refuse, OnProxyFailure::Refuse),
        (bpf::Failure::RefuseAll, OnProxyFailure::RefuseAll),
    ]
    .into_iter()
    .find_map(|(there, here)| (there as u8 == value.failure).then_some(here));
    let sources = [(bpf::Sources::All, Sources::All), (bpf::Sources::Listed, Sources::Listed)]
        .into_iter()
        .find_map(|(there, here)| (there as u8 == value.sources).then_some(here));
    let (Some(state), Some(on_proxy_failure), Some(sources)) = (state, failure, sources) else {
        return Err(map_error(FRONTENDS, "read all", format!("a value that nobody writes: {value:?}")));
    };
    let proxy_port = u16::from_be_bytes(value.proxy_port);
    Ok(Entry { proxy_port, state, on_proxy_failure, service: ServiceId(value.service), sources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_come_back_as_they_went() {
        for text in ["10.96.0.1:80", "[fd00::1]:65535", "255.255.255.255:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(frontend(key(address)), address);
        }
        for state in [FrontendState::On, FrontendState::Draining] {
            for on_proxy_failure in [OnProxyFailure::Bypass, OnProxyFailure::Refuse, OnProxyFailure::RefuseAll] {
                for sources in [Sources::All, Sources::Listed] {
                    let service = ServiceId(7);
                    let all = Entry { proxy_port: 10_001, state, on_proxy_failure, service, sources };
                    assert_eq!(entry(value(all)).unwrap(), all);
                }
            }
        }
    }

    #[test]
    fn counters_are_in_the_order_of_the_programs() {
        use bpf::Reason as Theirs;
        let theirs = [
            Theirs::Taken,
            Theirs::Reused,
            Theirs::Cookie,
            Theirs::Bypassed,
            Theirs::Refused,
            Theirs::Drained,
            Theirs::Foreign,
            Theirs::Unassigned,
            Theirs::SourceRange,
        ];
        assert_eq!(bpf::Tally::default().counts.len(), Reason::ALL.len());
        for (at, (ours, theirs)) in Reason::ALL.into_iter().zip(theirs).enumerate() {
            assert_eq!((theirs as usize, format!("{theirs:?}")), (at, format!("{ours:?}")));
        }
    }

    #[test]
    fn a_value_of_another_program_is_told() {
        let foreign = bpf::Frontend { service: 0, proxy_port: [0; 2], state: 9, failure: 1, sources: 0, zero: [0; 3] };
        assert!(entry(foreign).unwrap_err().to_string().contains("nobody writes"));
    }
}
