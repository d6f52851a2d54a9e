//! kube-proxy in ipvs mode: the addresses of services are the node's own, and IPVS gives what comes for them to a backend, but for
//! what the proxy has taken.
//!
//! Where the kernel has no IPVS, what can be shown is that our part does no harm.

use std::{io::ErrorKind, net::SocketAddr};

use axoneme_testnet::{Layout, wait_until};

use crate::{
    SOON,
    ground::{Ground, Nat, Stage},
    scene::PROXY_PORT,
    table,
    talk::{Place, Talk, dial},
};

/// What others, such as network plug-ins, do to marks.
const OTHERS: &str = "table inet others {
  chain prerouting { type filter hook prerouting priority mangle; meta mark set mark or 0x10000; }
  chain input { type filter hook input priority filter; meta mark set mark or 0x20000; }
  chain output { type route hook output priority mangle; meta mark & 0xf00 == 0x600 meta mark set mark or 0x40000; }
}
";

fn ground(name: &str, layout: Layout) -> Option<Ground> {
    let ground = Ground::new(name, layout);
    match ground.node.run("ipvsadm", ["--list"]) {
        Ok(_) => Some(ground),
        Err(why) => {
            println!("ipvs: not on this kernel: {why}");
            None
        }
    }
}

/// From everywhere to everything.
fn all(stage: &Stage) -> Vec<Talk> {
    let places = stage.ground.places();
    let to = |frontend: SocketAddr| {
        let dial = move |place| dial(place, frontend).unwrap_or_else(|error| panic!("{place:?} {frontend}: {error}"));
        places.iter().map(dial).collect::<Vec<_>>()
    };
    stage.ground.frontends().into_iter().flat_map(to).collect()
}

fn check(talks: &mut [Talk]) {
    talks.iter_mut().for_each(Talk::check);
}

#[test]
fn edge_24_what_the_proxy_takes_passes_ipvs() {
    for layout in [Layout::Routed, Layout::Bridge] {
        let Some(ground) = ground("ipvs", layout) else { return };
        ground.node.nft(OTHERS).unwrap();
        let mut stage = ground.stage(Nat::Ipvs);
        let _proxy = stage.proxy();
        stage.everybody_meets_the_backend("before");
        stage.redirect();
        stage.everybody_meets_the_proxy("beside IPVS");
        stage.remove();
        stage.everybody_meets_the_backend("after");
        stage.end();
    }
}

#[test]
fn edge_26_ipvs_and_live_connections() {
    let Some(ground) = ground("ipvs-live", Layout::Routed) else { return };
    let mut stage = ground.stage(Nat::Ipvs);
    let _proxy = stage.proxy();
    let mut before = all(&stage);
    stage.redirect();
    let mut during = all(&stage);
    assert!(during.iter().all(|talk| talk.who == "proxy"), "{during:?}");
    check(&mut before);
    check(&mut during);
    for frontend in stage.ground.frontends() {
        stage.agent.tell(&format!("set {frontend} {PROXY_PORT} draining bypass 1"));
    }
    check(&mut before);
    check(&mut during);
    stage.everybody_meets_the_backend("while draining");
    drop(during);
    stage.remove();
    check(&mut before);
    stage.agent.kill();
    stage.agent.restart(&stage.ground.node);
    stage.redirect();
    check(&mut before);
    stage.everybody_meets_the_proxy("with the next loader");
    drop(before);
    stage.end();
}

#[test]
fn edge_24_ipvs_without_a_proxy() {
    let Some(ground) = ground("ipvs-away", Layout::Bridge) else { return };
    let mut stage = ground.stage(Nat::Ipvs);
    stage.redirect();
    stage.everybody_meets_the_backend("around the proxy");
    for frontend in stage.ground.frontends() {
        stage.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
        for place in stage.ground.places() {
            let error = dial(&place, frontend).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::ConnectionRefused), "{place:?} {frontend}");
        }
    }
    stage.remove();
    stage.end();
}

#[test]
fn edge_26_ipvs_comes_and_goes() {
    let mut stage = Ground::new("ipvs-goes", Layout::Bridge).stage(Nat::Nftables);
    let _proxy = stage.proxy();
    stage.redirect();
    let mut talks = all(&stage);
    let without = table::rules(&stage.ground.node);
    // Any kind of device: the name is what tells.
    let mut lines = vec!["link add kube-ipvs0 type veth peer name other".to_owned()];
    for frontend in stage.ground.frontends().into_iter().take(4) {
        let at_once = if frontend.is_ipv4() { "" } else { "nodad" };
        lines.push(format!("addr add {} dev kube-ipvs0 {at_once}", frontend.ip()));
    }
    stage.ground.node.ip(lines).unwrap();
    table::becomes(&stage.ground.node, |rules| rules.contains("chain turn"));
    check(&mut talks);
    // The addresses come after the table.
    let (host, frontend) = (Place::Host(&stage.ground.node), stage.ground.frontends()[0]);
    let from_its_own = || Ok(dial(&host, frontend).is_ok_and(|talk| talk.peer.ip() == host.address(frontend)));
    wait_until("processes of the node to speak from its address", SOON, from_its_own).unwrap();
    stage.everybody_meets_the_proxy("beside");
    talks.extend(all(&stage));
    stage.ground.node.ip(["link del kube-ipvs0"]).unwrap();
    table::becomes(&stage.ground.node, |rules| rules == without);
    check(&mut talks);
    stage.everybody_meets_the_proxy("after");
    drop(talks);
    stage.end();
}

#[test]
fn edge_24_a_table_that_is_flushed_beside_ipvs_comes_back() {
    let Some(ground) = ground("ipvs-flush", Layout::Routed) else { return };
    let mut stage = ground.stage(Nat::Ipvs);
    let _proxy = stage.proxy();
    stage.redirect();
    let mut talks = all(&stage);
    table::comes_back(&stage.ground.node, "delete table inet axoneme");
    check(&mut talks);
    stage.everybody_meets_the_proxy("after");
    drop(talks);
    stage.remove();
    stage.end();
}
