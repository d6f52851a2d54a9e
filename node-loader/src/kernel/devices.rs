//! Which devices the node has, and which program belongs on each: plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::layout::{Layout, LayoutDevice};

/// Where kube-proxy in ipvs mode keeps the addresses of services.
const IPVS: &str = "kube-ipvs0";

/// A program of ours at the ingress of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hook {
    /// What pods dial.
    Container,
    /// What clients outside of the node dial.
    Netdev,
    /// What host processes dial.
    Host,
}

impl Hook {
    /// The program's name in the object.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Container => "from_container",
            Self::Netdev => "from_netdev",
            Self::Host => "from_host",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The bridge, bond or VRF that it is a port of.
    pub(crate) master: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Loopback,
    /// No kind at all: the driver of a real card.
    Physical,
    /// One end of a pair, the other of which is in a pod.
    Pair,
    Bridge,
    Vrf,
    Other,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Physical => "physical",
            Self::Pair => "pair",
            Self::Bridge => "bridge",
            Self::Vrf => "vrf",
            Self::Other => "other",
        }
    }
}

/// The devices of this network namespace, as far as they matter to us.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) devices: BTreeMap<u32, Device>,
    /// The one that IPVS has the addresses of services on, if it is there.
    pub(super) ipvs: Option<u32>,
    /// Global addresses by device.
    pub(crate) addresses: BTreeSet<(u32, IpAddr)>,
    /// The devices of default routes.
    pub(crate) default_routes: BTreeSet<u32>,
    /// As [`super::Config::uplinks`] and [`super::Config::ignored_devices`].
    pub(crate) uplinks: Vec<String>,
    pub(crate) ignored: Vec<String>,
}

impl Devices {
    /// A device as it is now. The answer is whether IPVS came with it.
    pub(crate) fn set(&mut self, index: u32, device: Device) -> bool {
        let is_new = device.name == IPVS && self.ipvs != Some(index);
        if is_new {
            self.ipvs = Some(index);
        }
        self.devices.insert(index, device);
        is_new
    }

    /// A device is gone. The answer is whether IPVS went with it.
    pub(crate) fn forget(&mut self, index: u32) -> bool {
        self.devices.remove(&index);
        self.ipvs.take_if(|ipvs| *ipvs == index).is_some()
    }

    /// All devices. Cost: all of them.
    pub(crate) fn replace(&mut self, all: impl Iterator<Item = (u32, Device)>) {
        self.devices = all.collect();
        self.ipvs = self.devices.iter().find(|(_, device)| device.name == IPVS).map(|(index, _)| *index);
    }

    /// The program that belongs on a device. Cost: independent of how many devices there are.
    ///
    /// A port of a bridge gets one, and so does the bridge: netfilter at the port drops the socket that was assigned there.
    pub(crate) fn hook(&self, index: u32) -> Option<Hook> {
        let device = self.devices.get(&index)?;
        if device.name == IPVS || matches(&self.ignored, &device.name) {
            return None;
        }
        if device.kind == Kind::Loopback {
            return Some(Hook::Host);
        }
        if self.default_routes.contains(&index) || matches(&self.uplinks, &device.name) {
            return Some(Hook::Netdev);
        }
        let master = device.master.and_then(|master| self.devices.get(&master)).map(|master| master.kind);
        match device.kind {
            Kind::Pair | Kind::Bridge => Some(Hook::Container),
            // A port of a bond shows its packets at the bond again.
            Kind::Physical if device.master.is_none() || master == Some(Kind::Bridge) => Some(Hook::Netdev),
            Kind::Loopback | Kind::Physical | Kind::Vrf | Kind::Other => None,
        }
    }

    /// Every device with its program, or with why it has none, by number. Cost: all devices.
    pub(crate) fn layout(&self) -> Layout {
        let device = |(index, device): (&u32, &Device)| {
            let program = self.hook(*index).map(Hook::program);
            LayoutDevice {
                name: device.name.clone(),
                kind: device.kind.name().to_owned(),
                master: device.master.and_then(|it| self.devices.get(&it)).map(|master| master.name.clone()),
                program: program.map(str::to_owned),
                left_alone: if program.is_none() { Some(self.why_not(device).to_owned()) } else { None },
            }
        };
        Layout {
            devices: self.devices.iter().map(device).collect(),
            unsupported: self.unsupported(),
            ..Layout::default()
        }
    }

    /// What this node has that the redirect cannot cope with, in sentences. Cost: all devices.
    pub(crate) fn unsupported(&self) -> Vec<String> {
        let all = self.devices.values();
        let in_vrf = all.filter(|device| device.kind == Kind::Physical && self.is_in_vrf(device)).map(|device| {
            format!(
                "{} is in a VRF, whose sockets and routes are apart: what comes in by it is not redirected",
                device.name
            )
        });
        in_vrf.collect()
    }

    fn is_in_vrf(&self, device: &Device) -> bool {
        device.master.and_then(|master| self.devices.get(&master)).is_some_and(|master| master.kind == Kind::Vrf)
    }

    fn why_not(&self, device: &Device) -> &'static str {
        if matches(&self.ignored, &device.name) {
            "as --ignore-device says"
        } else if device.name == IPVS {
            "kube-proxy's, in ipvs mode: what the proxy takes passes IPVS unseen"
        } else if self.is_in_vrf(device) {
            "not supported, see below"
        } else if device.master.is_some() {
            "its packets are seen at its master"
        } else {
            "neither a pod's nor an uplink; --uplink makes it one, if clients come in by it"
        }
    }

    /// The addresses that node ports answer on, sorted.
    pub(crate) fn node_addresses(&self) -> Vec<IpAddr> {
        let addresses: BTreeSet<IpAddr> = self.own().map(|(_, address)| *address).collect();
        addresses.into_iter().collect()
    }

    /// Without those of services, which IPVS makes the node's own.
    fn own(&self) -> impl Iterator<Item = &(u32, IpAddr)> {
        self.addresses.iter().filter(|(index, _)| Some(*index) != self.ipvs)
    }

    /// The address that host processes speak from when the proxy takes their connections: one of a default route's device, else
    /// any.
    pub(crate) fn source(&self, is_family: fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let of_family = || self.own().filter(|(_, address)| is_family(address));
        let on_uplink = of_family().find(|(index, _)| self.default_routes.contains(index));
        on_uplink.or_else(|| of_family().next()).map(|(_, address)| *address)
    }
}

fn matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches_one(pattern, name))
}

/// `*` stands for any characters, none included.
fn matches_one(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|name| (0..=name.len()).filter_map(|at| name.get(at..)).any(|name| matches_one(rest, name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, kind: Kind, master: Option<u32>) -> Device {
        Device { name: name.to_owned(), kind, master }
    }

    fn node() -> Devices {
        let devices = BTreeMap::from([
            (1, device("lo", Kind::Loopback, None)),
            (2, device("eth0", Kind::Physical, None)),
            (3, device("cni0", Kind::Bridge, None)),
            (4, device("veth1234", Kind::Pair, Some(3))),
            (5, device("eth1", Kind::Physical, Some(6))),
            (6, device("bond0", Kind::Other, None)),
            (7, device("uplink", Kind::Pair, None)),
            (8, device("flannel.1", Kind::Other, None)),
        ]);
        Devices { devices, default_routes: BTreeSet::from([7]), ..Devices::default() }
    }

    #[test]
    fn each_device_gets_the_program_of_its_side() {
        let node = node();
        let hooks: Vec<Option<Hook>> = (1..=8).map(|index| node.hook(index)).collect();
        let (container, netdev) = (Some(Hook::Container), Some(Hook::Netdev));
        assert_eq!(hooks, [Some(Hook::Host), netdev, container, container, None, None, netdev, None]);
        assert_eq!(node.hook(99), None);
    }

    #[test]
    fn the_layout_says_of_each_device_what_is_done_with_it() {
        let mut node = node();
        node.ignored = vec!["flannel*".to_owned()];
        let layout = node.layout();
        let told = layout.devices.iter().map(|it| it.program.as_deref().or(it.left_alone.as_deref()).unwrap());
        let told: Vec<&str> = told.collect();
        assert_eq!(told[..4], ["from_host", "from_netdev", "from_container", "from_container"]);
        assert!(told[4].contains("master") && told[5].contains("--uplink") && told[7].contains("--ignore-device"));
        assert_eq!((layout.devices[3].kind.as_str(), layout.devices[3].master.as_deref()), ("pair", Some("cni0")));
    }

    #[test]
    fn what_the_redirect_cannot_cope_with_is_said() {
        assert_eq!(node().unsupported(), Vec::<String>::new());
        let mut node = node();
        node.set(10, device("red", Kind::Vrf, None));
        node.set(11, device("eth2", Kind::Physical, Some(10)));
        let [vrf] = node.unsupported().try_into().unwrap();
        assert!(vrf.starts_with("eth2 is in a VRF"), "{vrf}");
        let layout = node.layout();
        assert_eq!(layout.devices[9].left_alone.as_deref(), Some("not supported, see below"));
        assert_eq!(layout.unsupported.len(), 1);
    }

    #[test]
    fn addresses_of_services_are_not_the_nodes() {
        let mut node = node();
        let (own, service) = ("192.168.0.2".parse().unwrap(), "10.96.0.1".parse().unwrap());
        node.addresses = BTreeSet::from([(7, own), (10, service)]);
        assert_eq!(node.node_addresses(), [service, own]);
        assert!(!node.set(9, device("dummy0", Kind::Other, None)));
        let ipvs = || device("kube-ipvs0", Kind::Other, None);
        assert!(node.set(10, ipvs()), "it came");
        assert!(!node.set(10, ipvs()), "it was there");
        assert_eq!((node.node_addresses(), node.hook(10)), (vec![own], None));
        assert!(node.layout().devices[9].left_alone.as_deref().is_some_and(|why| why.contains("ipvs mode")));
        node.default_routes.clear();
        node.addresses.remove(&(7, own));
        assert_eq!(node.source(IpAddr::is_ipv4), None);
        assert!(!node.forget(9) && node.forget(10), "it went");
        assert_eq!(node.source(IpAddr::is_ipv4), Some(service));
        node.replace([(1, device("lo", Kind::Loopback, None)), (2, ipvs())].into_iter());
        assert_eq!(node.ipvs, Some(2));
    }

    #[test]
    fn patterns_add_and_take_away() {
        let mut node = node();
        node.uplinks = vec!["bond*".to_owned()];
        node.ignored = vec!["veth*4".to_owned(), "lo".to_owned()];
        assert_eq!((node.hook(6), node.hook(4), node.hook(1)), (Some(Hook::Netdev), None, None));
        assert!(matches_one("*", "") && matches_one("a*b*c", "aXbYc") && !matches_one("a*b", "ab1"));
    }

    #[test]
    fn host_processes_speak_from_the_uplink() {
        let mut node = node();
        assert_eq!(node.source(IpAddr::is_ipv4), None);
        node.addresses = BTreeSet::from([(3, "10.0.0.1".parse().unwrap()), (7, "192.168.0.2".parse().unwrap())]);
        assert_eq!(node.source(IpAddr::is_ipv4), Some("192.168.0.2".parse().unwrap()));
        assert_eq!(node.source(IpAddr::is_ipv6), None);
        node.default_routes.clear();
        assert_eq!(node.source(IpAddr::is_ipv4), Some("10.0.0.1".parse().unwrap()));
    }
}
