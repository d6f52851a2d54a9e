//! Connections that had their time: they end at once, and nobody else's do.

use std::net::SocketAddr;

use axoneme_testnet::Layout;

use crate::{
    PROXY_PORT, proxy,
    scene::Scene,
    talk::{Place, dial},
};

const NODE_PORT: u16 = 30_080;

#[test]
fn what_is_cut_ends_at_once_and_is_the_proxys() {
    let mut scene = Scene::new("cut", Layout::Routed);
    let _proxy = scene.proxy();
    // A process of the node has the same port, and connections at the same address.
    let own = proxy::backend(&scene.node, NODE_PORT);
    for ip in scene.node.address.each() {
        let frontend = SocketAddr::new(ip, NODE_PORT);
        let outside = scene.outside();
        let mut before = dial(&Place::Net(&outside), frontend).unwrap();
        assert_eq!(before.who, "backend");
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        let mut taken = dial(&Place::Net(&outside), frontend).unwrap();
        assert_eq!(taken.who, "proxy");
        assert_eq!(scene.agent.number(&format!("connections {frontend}")), 1, "the other one is not the proxy's");
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} draining bypass 1"));
        assert_eq!(scene.agent.number(&format!("cut {frontend}")), 1);
        assert_eq!(scene.agent.number(&format!("connections {frontend}")), 0);
        assert!(taken.say("hello").is_err(), "it is over");
        before.check();
        scene.agent.tell(&format!("remove {frontend}"));
        before.check();
    }
    drop(own);
    scene.end();
}
