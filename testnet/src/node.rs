//! A node and its pods.

use std::{collections::BTreeSet, ops::Deref};

use crate::{Error, Namespace, Result, address, namespace::Kind};

/// The processes are those of the node itself, not of its pods, without this one.
const FOOTPRINT: &str = "
    for family in -4 -6; do
        echo \"rules $family\"; ip $family rule
        # The kernel adds a device's own ones when it comes to it.
        echo \"routes $family\"; ip $family route show table all | grep -v -e fe80:: -e ff00::/8
    done
    echo nftables; nft list ruleset
    echo pins; find /sys/fs/bpf -mindepth 1
    echo links; ip -o link | cut -d: -f2
    echo processes
    for pid in $(cat /sys/fs/cgroup/cgroup.procs); do
        [ $pid = $$ ] || [ ! -r /proc/$pid/comm ] || echo \"$pid $(cat /proc/$pid/comm)\"
    done";

/// The lines that only one of two texts has, `- ` for the first and `+ ` for the second one.
#[must_use]
pub fn difference(before: &str, after: &str) -> String {
    let only = |sign: char, these: &str, those: &str| {
        let others = those.lines().collect::<BTreeSet<_>>();
        let lines = these.lines().filter(|line| !others.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    only('-', before, after) + &only('+', after, before)
}

/// How the pods of a node are wired; real network plugins do it in one of these ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A veth and a route per pod, the gateway's address on each (`ptp`, Calico, kindnet).
    Routed,
    /// All pods on one bridge `cni0` with hairpin (`bridge`, flannel, k3s).
    Bridge,
}

/// A node: a [`Namespace`] with `eth0` in the LAN, its own `/sys`, bpffs and root of control groups, and pods.
#[derive(Debug)]
pub struct Node {
    host: Namespace,
    number: u8,
    layout: Layout,
    pods: u8,
}

impl Deref for Node {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.host
    }
}

impl Node {
    pub(crate) fn new(host: Namespace, number: u8, layout: Layout) -> Result<Self> {
        if layout == Layout::Bridge {
            let gateway = address::pods(number, address::GATEWAY);
            host.ip([
                // Given, as network plug-ins do: else it is a port's, and another one when pods come or go.
                format!("link add cni0 address {} type bridge", address::BRIDGE),
                format!("addr add {}/24 dev cni0", gateway.v4),
                format!("addr add {}/64 dev cni0 nodad", gateway.v6),
                "link set cni0 up".to_owned(),
            ])?;
        }
        Ok(Self { host, number, layout, pods: 0 })
    }

    /// How its pods are wired.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Its number in the address plan, from 1.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// The ranges of its pods, IPv4 and IPv6.
    #[must_use]
    pub fn pod_ranges(&self) -> [String; 2] {
        address::pod_ranges(self.number)
    }

    /// What of this node a mesh could leave changed: rules, routes, nftables, pins, processes. No [`difference`] between
    /// before and after means that nothing was left.
    ///
    /// # Errors
    /// If one of the tools fails.
    pub fn footprint(&self) -> Result<String> {
        self.run("sh", ["-c", FOOTPRINT])
    }

    /// Adds a pod: a namespace with `eth0`, whose processes are in a control group below the node's, as kubelet has it.
    /// Dropping it (with its clones) removes it, like the end of a pod does.
    ///
    /// # Errors
    /// If the kernel refuses, or the name is no host name, or there are too many.
    pub fn pod(&mut self, name: &str) -> Result<Namespace> {
        let number = self.pods + 1;
        if number > u8::MAX - address::PODS {
            return Err(Error::Name { what: "pod", name: name.to_owned(), why: "the node's range is used up" });
        }
        self.pods = number;
        let own = address::pods(self.number, address::PODS + number);
        let pod = Namespace::create(name, own, Kind::Host, self.host.cgroup().join("pods").join(name))?;
        let veth = format!("veth{number}");
        self.host.ip([format!("link add {veth} type veth peer name eth0 netns {}", pod.pid())])?;
        match self.layout {
            Layout::Routed => self.route(&pod, &veth)?,
            Layout::Bridge => self.bridge(&pod, &veth)?,
        }
        Ok(pod)
    }

    fn route(&self, pod: &Namespace, veth: &str) -> Result<()> {
        let (own, gateway) = (pod.address, address::pods(self.number, address::GATEWAY));
        self.host.ip([
            format!("addr add {}/32 dev {veth}", gateway.v4),
            format!("addr add {}/128 dev {veth} nodad", gateway.v6),
            format!("link set {veth} up"),
            format!("route add {}/32 dev {veth} scope host", own.v4),
            format!("route add {}/128 dev {veth}", own.v6),
        ])?;
        pod.ip([
            format!("addr add {}/32 dev eth0", own.v4),
            format!("addr add {}/128 dev eth0 nodad", own.v6),
            "link set eth0 up".to_owned(),
            format!("route add {} dev eth0 scope link", gateway.v4),
            format!("route add {} dev eth0", gateway.v6),
            format!("route add default via {}", gateway.v4),
            format!("route add default via {} dev eth0", gateway.v6),
        ])
    }

    fn bridge(&self, pod: &Namespace, veth: &str) -> Result<()> {
        let (own, gateway) = (pod.address, address::pods(self.number, address::GATEWAY));
        self.host
            .ip([format!("link set {veth} master cni0 up"), format!("link set {veth} type bridge_slave hairpin on")])?;
        pod.ip([
            format!("addr add {}/24 dev eth0", own.v4),
            format!("addr add {}/64 dev eth0 nodad", own.v6),
            "link set eth0 up".to_owned(),
            format!("route add default via {}", gateway.v4),
            format!("route add default via {} dev eth0", gateway.v6),
        ])
    }
}
