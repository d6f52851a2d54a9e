//! What arrives in fragments: a client that lets routers cut its packets, behind a narrow link.
//!
//! Only the first fragment has the ports. The packet is put together before it is routed, with the first one's mark: by connection
//! tracking, which kube-proxy's rules need in any case, or because our table asks for it.

use std::thread;

use axoneme_testnet::Layout;

use crate::{
    ground::{Ground, Nat},
    talk::{Place, dial},
};

const OWN: &str = "10.240.0.2";
const ROUTER: &str = "10.240.0.1";

#[test]
fn edge_24_what_arrives_in_fragments_is_put_together() {
    thread::scope(|scope| {
        let start = |nat| drop(scope.spawn(move || a_client_sends_fragments(nat)));
        [Nat::Nftables, Nat::Nobody].into_iter().for_each(start);
    });
}

fn a_client_sends_fragments(nat: Nat) {
    let mut ground = Ground::new("fragments", Layout::Routed);
    let behind = ground.lab.client("behind").unwrap();
    let (router, node) = (&ground.clients[0], ground.node.address.v4);
    router.set("ipv4.ip_forward", "1").unwrap();
    router
        .ip([
            format!("link add wide type veth peer name wan netns {}", behind.pid()),
            format!("addr add {ROUTER}/24 dev wide"),
            "link set wide up".to_owned(),
            format!("route replace 10.232.0.0/24 via {node} mtu lock 1000"),
        ])
        .unwrap();
    // It never asks for an error in place of fragments.
    behind.set("ipv4.ip_no_pmtu_disc", "1").unwrap();
    behind
        .ip([
            "addr flush dev eth0".to_owned(),
            "link set eth0 down".to_owned(),
            "link set wan up".to_owned(),
            format!("addr add {OWN}/24 dev wan"),
            format!("route add default via {ROUTER}"),
        ])
        .unwrap();
    ground.node.ip([format!("route add {OWN} via {}", router.address.v4)]).unwrap();
    let mut stage = ground.stage(nat);
    let _proxy = stage.proxy();
    stage.redirect();
    let mut talk = dial(&Place::Net(&behind), stage.ground.frontends()[0]).unwrap();
    assert_eq!((talk.who.as_str(), talk.peer.ip().to_string().as_str()), ("proxy", OWN));
    let much = "much".repeat(50_000);
    assert!(talk.say(&much).unwrap() == much, "not all came back");
    let counters = stage.ground.node.run("nstat", ["-asz", "IpReasmOKs"]).unwrap();
    let together = counters.lines().find_map(|line| line.strip_prefix("IpReasmOKs")).unwrap();
    assert_ne!(together.split_whitespace().next(), Some("0"), "there were no fragments: {counters}");
    drop(talk);
    let table = stage.ground.node.run("nft", ["list", "table", "inet", "axoneme"]).unwrap();
    assert!(table.contains("tproxy to :1"), "as it can be loaded again: {table}");
    stage.end();
}
