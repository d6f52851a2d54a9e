//! Every way in on every layout: one table, in which a row is a kind of node and who makes the rules of its services.

use std::thread;

use axoneme_testnet::{Iptables, Lab, Layout, Node, address, overlay, wait_until};

use crate::{
    SOON,
    foreign::{self, Mode},
    ground::{Ground, Nat},
    scene::PROXY_PORT,
    talk::{Place, dial},
    uplink::{self, Over},
};

struct Row {
    what: &'static str,
    layout: Layout,
    nat: Nat,
    /// What is done to the node before the datapath comes. An error is why this kernel cannot have it.
    prepare: Prepare,
}

const LEGACY: Nat = Nat::Iptables(Iptables::Legacy);
const IPTABLES: Nat = Nat::Iptables(Iptables::Nft);

const TABLE: [Row; 14] = [
    row("routed pods", Layout::Routed, Nat::Nftables, |_| Ok(())),
    row("routed pods, iptables", Layout::Routed, IPTABLES, |_| Ok(())),
    row("routed pods, legacy iptables", Layout::Routed, LEGACY, |_| Ok(())),
    row("bridge that calls iptables", Layout::Bridge, LEGACY, |ground| calls(ground, true)),
    row("bridge that calls nobody", Layout::Bridge, Nat::Nftables, |ground| calls(ground, false)),
    row("strict reverse paths", Layout::Bridge, IPTABLES, strict),
    row("firewall", Layout::Routed, Nat::Nftables, firewall),
    row("two uplinks", Layout::Routed, Nat::Nftables, |ground| uplink::add(ground, Over::Nothing)),
    row("uplink on macvlan", Layout::Bridge, IPTABLES, |ground| uplink::add(ground, Over::Macvlan)),
    row("uplink on VLAN", Layout::Routed, Nat::Nftables, |ground| uplink::add(ground, Over::Vlan)),
    row("uplink on WireGuard", Layout::Routed, IPTABLES, |ground| uplink::add(ground, Over::WireGuard)),
    row("overlay", Layout::Bridge, Nat::Nftables, |ground| far_backend(ground, overlay::vxlan)),
    row("encrypted overlay", Layout::Routed, IPTABLES, |ground| far_backend(ground, overlay::wireguard)),
    row("XDP", Layout::Routed, Nat::Nftables, xdp),
];

type Prepare = fn(&mut Ground) -> Result<(), String>;

const fn row(what: &'static str, layout: Layout, nat: Nat, prepare: Prepare) -> Row {
    Row { what, layout, nat, prepare }
}

#[test]
fn edge_24_every_way_in_on_every_layout() {
    // A few at a time: most of it is waiting for processes of others.
    for rows in TABLE.chunks(4) {
        thread::scope(|scope| {
            rows.iter().for_each(|row| drop(scope.spawn(|| row.try_all())));
        });
    }
}

impl Row {
    fn try_all(&self) {
        let mut ground = Ground::new("layout", self.layout);
        if let Err(why) = (self.prepare)(&mut ground) {
            println!("{}: not on this kernel: {why}", self.what);
            return;
        }
        let mut stage = ground.stage(self.nat);
        let _proxy = stage.proxy();
        stage.everybody_meets_the_backend(self.what);
        stage.redirect();
        stage.everybody_meets_the_proxy(self.what);
        stage.remove();
        stage.everybody_meets_the_backend(self.what);
        stage.end();
    }
}

/// Whether netfilter sees what passes a bridge.
fn calls(ground: &mut Ground, yes: bool) -> Result<(), String> {
    for of in ["iptables", "ip6tables"] {
        ground.node.set(&format!("bridge.bridge-nf-call-{of}"), if yes { "1" } else { "0" }).unwrap();
    }
    Ok(())
}

fn strict(ground: &mut Ground) -> Result<(), String> {
    ground.node.set("ipv4.conf.all.rp_filter", "1").unwrap();
    Ok(())
}

/// One that lets in nobody whom it does not know, and packets that were taken.
fn firewall(ground: &mut Ground) -> Result<(), String> {
    let rules = "table inet firewall {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif lo accept
    meta l4proto ipv6-icmp accept
    meta mark & 0xf00 == 0x200 accept
  }
}";
    ground.node.nft(&format!("{rules}\n")).unwrap();
    Ok(())
}

/// Programs of others see every packet before the kernel makes its own of it, in the driver or after it.
fn xdp(ground: &mut Ground) -> Result<(), String> {
    for (device, mode) in [("eth0", Mode::Generic), ("veth1", Mode::Driver)] {
        ground.programs.push(foreign::watch(&ground.node, device, mode));
    }
    Ok(())
}

/// The backend is on another node, behind an overlay.
fn far_backend(ground: &mut Ground, overlay: fn([&Node; 2]) -> axoneme_testnet::Result<()>) -> Result<(), String> {
    let mut far = ground.lab.node("node2", ground.node.layout()).unwrap();
    ground.backend = far.pod("far").unwrap();
    overlay([&ground.node, &far]).map_err(|error| error.to_string())?;
    // What it dials comes to the first node by the LAN, and the answers go back by the overlay.
    for range in [address::SERVICES_V4, address::SERVICES_V6, address::BALANCERS_V4, address::BALANCERS_V6] {
        Lab::route(&far, range, &ground.node).unwrap();
    }
    ground.far = Some(far);
    Ok(())
}

#[test]
fn an_uplink_that_comes_later_is_covered_and_its_end_leaves_no_pin() {
    let mut stage = Ground::new("uplinks", Layout::Routed).stage(Nat::Nftables);
    let _proxy = stage.proxy();
    stage.redirect();
    let pins = |ground: &Ground| ground.node.run("sh", ["-c", "ls /sys/fs/bpf/axoneme/*"]).unwrap();
    let before = pins(&stage.ground);
    uplink::add(&mut stage.ground, Over::Nothing).unwrap();
    let second = stage.ground.clients.pop().unwrap();
    for frontend in stage.ground.frontends() {
        let taken = || Ok(dial(&Place::Net(&second), frontend).is_ok_and(|talk| talk.who == "proxy"));
        wait_until("the new uplink is covered", SOON, taken).unwrap();
    }
    // As an uplink, and not as a pod's device: only there ranges of sources hold.
    let frontend = stage.ground.frontends()[0];
    stage.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1 listed"));
    let refused = || Ok(dial(&Place::Net(&second), frontend).is_err());
    wait_until("the new uplink is an uplink", SOON, refused).unwrap();
    stage.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
    drop(second);
    wait_until("the pin is gone", SOON, || Ok(pins(&stage.ground) == before)).unwrap();
    stage.everybody_meets_the_proxy("after an uplink went");
    stage.end();
}
