//! The datapath on a real kernel: nodes and pods as namespaces, rules like kube-proxy's, and a toy proxy in Envoy's place.
//!
//! Needs root. Every test has a laboratory of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod clsact;
mod cut;
mod devices;
mod dialler;
mod foreign;
mod fragments;
mod ground;
mod ipvs;
mod kept;
mod layouts;
mod ports;
mod privileges;
mod proxy;
mod scene;
mod stranger;
mod table;
mod talk;
mod traces;
mod udp;
mod uplink;
mod watch;

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axoneme_testnet::{Layout, wait_until};
use scene::{PROXY_PORT, Scene};
use talk::{PATIENCE, Place, dial, dial_from};

const SOON: Duration = Duration::from_secs(60);

/// Runs `work` on routed and bridged pods, for IPv4 and IPv6.
fn everywhere(name: &str, work: impl Fn(&mut Scene, SocketAddr)) {
    for layout in [Layout::Routed, Layout::Bridge] {
        let mut scene = Scene::new(name, layout);
        for frontend in scene.frontends() {
            work(&mut scene, frontend);
        }
        scene.end();
    }
}

#[test]
fn edge_24_pods_hosts_and_outside_clients_reach_the_proxy_with_their_own_address() {
    everywhere("taken", |scene, frontend| {
        let _proxy = scene.proxy();
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "backend", "{place:?} before");
        }
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        for place in scene.places() {
            let talk = dial(&place, frontend).unwrap();
            assert_eq!((talk.who.as_str(), talk.local), ("proxy", frontend), "{place:?}");
            assert_eq!(talk.peer.ip(), place.address(frontend), "{place:?}");
            assert!(!scene.is_tracked(talk.peer), "{place:?}: connection tracking saw it");
        }
        assert_eq!(scene.agent.counter("taken"), 3, "{frontend}");
        scene.agent.tell(&format!("remove {frontend}"));
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "backend", "{place:?} after");
        }
    });
}

#[test]
fn edge_26_switching_breaks_no_live_connection() {
    everywhere("switch", |scene, frontend| {
        let _proxy = scene.proxy();
        let mut before: Vec<_> = scene.places().iter().map(|place| dial(place, frontend).unwrap()).collect();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
        let mut during: Vec<_> = scene.places().iter().map(|place| dial(place, frontend).unwrap()).collect();
        for talk in before.iter_mut().chain(&mut during) {
            talk.check();
        }
        assert_eq!(scene.agent.number(&format!("connections {frontend}")), 3);
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} draining refuse 1"));
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "backend", "{place:?} while draining");
        }
        for talk in before.iter_mut().chain(&mut during) {
            talk.check();
        }
        drop(during);
        wait_until("the proxy is empty", SOON, || Ok(scene.agent.number(&format!("connections {frontend}")) == 0))
            .unwrap();
        scene.agent.tell(&format!("remove {frontend}"));
        before.iter_mut().for_each(talk::Talk::check);
    });
}

#[test]
fn without_a_proxy_connections_go_around_it_or_are_refused_at_once() {
    everywhere("away", |scene, frontend| {
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "backend", "{place:?}");
        }
        assert_eq!(scene.agent.counter("bypassed"), 3);
        for how in ["refuse", "refuse-all"] {
            scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on {how} 1"));
            for place in scene.places() {
                let error = dial(&place, frontend).err().map(|error| error.kind());
                assert_eq!(error, Some(ErrorKind::ConnectionRefused), "{place:?} {how}");
            }
        }
        // And what the connections that went around the proxy had to say when they ended, if that came late.
        let refused = scene.agent.counter("refused");
        assert!(refused >= 6, "{refused}");
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} draining refuse-all 1"));
        for place in scene.places() {
            let error = dial(&place, frontend).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::ConnectionRefused), "{place:?} while draining");
        }
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn edge_24_source_ranges_hold_for_clients_outside_and_nobody_else() {
    /// In [`Scene::places`].
    const OUTSIDE: usize = 2;
    let who = |scene: &Scene, frontend| match dial(&scene.places()[OUTSIDE], frontend) {
        Ok(talk) => Ok(talk.who.clone()),
        Err(error) => Err(error.kind()),
    };
    let refused = Err(ErrorKind::ConnectionRefused);
    let proxy = || Ok("proxy".to_owned());
    everywhere("ranges", |scene, frontend| {
        let _proxy = scene.proxy();
        let own = scene.places()[OUTSIDE].address(frontend);
        let own = format!("{own}/{}", if frontend.is_ipv4() { 32 } else { 128 });
        // All addresses of the other family are none of this one.
        let (foreign, everybody) = if frontend.is_ipv4() { ("::/0", "0.0.0.0/0") } else { ("0.0.0.0/0", "::/0") };
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1 listed"));
        for (nobody, count) in [("list".to_owned(), 1), (format!("list {foreign} 192.0.2.0/24 2001:db8:9::/48"), 2)] {
            scene.agent.tell(&nobody);
            assert_eq!(who(scene, frontend), refused, "{nobody}");
            assert_eq!(scene.agent.counter("source-range"), count, "{nobody}");
        }
        for place in &scene.places()[..OUTSIDE] {
            assert_eq!(dial(place, frontend).unwrap().who, "proxy", "{place:?}");
        }
        for somebody in [own.as_str(), everybody] {
            scene.agent.tell(&format!("list {foreign} 192.0.2.0/24 {somebody}"));
            assert_eq!(who(scene, frontend), proxy(), "{somebody}");
        }
        // Who has a connection keeps it, as with kube-proxy.
        let mut talk = dial(&scene.places()[OUTSIDE], frontend).unwrap();
        scene.agent.tell("list");
        talk.check();
        assert_eq!(who(scene, frontend), refused);
        assert_eq!(scene.agent.counter("source-range"), 3);
        drop(talk);

        scene.agent.tell(&format!("list {own}"));
        scene.agent.kill();
        assert_eq!(who(scene, frontend), proxy(), "without a loader");
        scene.agent.restart(&scene.node);
        scene.agent.tell("list 192.0.2.0/24");
        assert_eq!(who(scene, frontend), refused, "the next loader knows what was listed");
        scene.agent.tell("list");
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn a_proxy_that_dies_leaves_nobody_hanging() {
    everywhere("dies", |scene, frontend| {
        let proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        let talks: Vec<_> = scene.places().iter().map(|place| dial(place, frontend).unwrap()).collect();
        proxy.die_silently();
        let none = || Ok(scene.agent.number(&format!("connections {frontend}")) == 0);
        wait_until("the proxy's connections to be gone", SOON, none).unwrap();
        for mut talk in talks {
            let start = Instant::now();
            assert!(talk.say("hello").is_err());
            assert!(start.elapsed() < PATIENCE, "{talk:?}");
        }
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn edge_26_a_port_is_used_again_at_once_and_cookies_work() {
    everywhere("again", |scene, frontend| {
        let _proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 1"));
        let source = SocketAddr::new(Place::Net(&scene.pod).address(frontend), 45_678);
        for _ in 0..3 {
            let mut talk = None;
            wait_until("the last one's final ACK went through", SOON, || {
                talk = match dial_from(&scene.pod, source, frontend) {
                    Err(error) if error.kind() == ErrorKind::AddrNotAvailable => None,
                    talk => Some(talk.unwrap()),
                };
                Ok(talk.is_some())
            })
            .unwrap();
            let talk = talk.unwrap();
            assert_eq!(talk.who, "proxy");
            // The proxy closes first, so TIME_WAIT is on its side.
            talk.ask_to_close();
        }
        assert_eq!(scene.agent.counter("reused"), 2);
        scene.node.set("ipv4.tcp_syncookies", "2").unwrap();
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "proxy", "{place:?} by cookie");
        }
        assert_eq!(scene.agent.counter("cookie"), 3);
        scene.node.set("ipv4.tcp_syncookies", "1").unwrap();
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn edge_26_cve_2023_27595_a_killed_loader_is_not_missed_and_the_next_one_takes_over() {
    everywhere("killed", |scene, frontend| {
        let _proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 7"));
        let mut talks: Vec<_> = scene.places().iter().map(|place| dial(place, frontend).unwrap()).collect();
        scene.agent.kill();
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "proxy", "{place:?} without a loader");
        }
        let late = scene.node.pod(if frontend.is_ipv4() { "late4" } else { "late6" }).unwrap();
        let mut around = dial(&Place::Net(&late), frontend).unwrap();
        assert_eq!(around.who, "backend", "nobody has put a program on the new pod's device");
        scene.agent.restart(&scene.node);
        assert_eq!(dial(&Place::Net(&late), frontend).unwrap().who, "proxy", "the next loader has");
        around.check();
        let entries = scene.agent.ask("entries");
        assert_eq!(entries, format!("{frontend} {PROXY_PORT} on bypass 7"));
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "proxy", "{place:?} with the next loader");
        }
        talks.iter_mut().for_each(talk::Talk::check);
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn edge_26_an_upgrade_that_changes_the_maps_breaks_no_connection() {
    everywhere("layout", |scene, frontend| {
        let _proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 7"));
        let mut talks: Vec<_> = scene.places().iter().map(|place| dial(place, frontend).unwrap()).collect();
        scene.agent.kill();
        // To the next loader, maps and links of another layout; and those of the first one that ever was.
        let first = "10.232.9.9:80";
        let script = "cd /sys/fs/bpf/axoneme; mv * 0000000000000001; mkdir 0000000000000002; \
                      bpftool map create 0000000000000002/FRONTENDS type hash key 20 value 8 entries 9 name f flags 1; \
                      bpftool map update pinned 0000000000000002/FRONTENDS \
                      key hex 00 00 00 00 00 00 00 00 00 00 ff ff 0a e8 09 09 00 50 06 00 value hex 08 00 00 00 27 11 01 01";
        scene.node.run("sh", ["-ec", script]).unwrap();
        scene.agent.restart(&scene.node);
        let mut expected =
            [format!("{first} {PROXY_PORT} on bypass 8"), format!("{frontend} {PROXY_PORT} on refuse-all 7")];
        let mut found: Vec<String> = scene.agent.ask("entries").split(", ").map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        for place in scene.places() {
            assert_eq!(dial(&place, frontend).unwrap().who, "proxy", "{place:?}");
        }
        talks.iter_mut().for_each(talk::Talk::check);
        assert_eq!(scene.node.run("sh", ["-c", "ls /sys/fs/bpf/axoneme | wc -l"]).unwrap().trim(), "1");
        scene.agent.tell(&format!("remove {first}"));
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn what_is_decided_can_be_watched() {
    everywhere("watch", |scene, frontend| {
        let ip = |scene: &Scene, at: usize| scene.places()[at].address(frontend);
        let (pod, outside) = (ip(scene, 0), ip(scene, 2));
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 1"));
        assert_eq!(dial(&scene.places()[0], frontend).err().map(|it| it.kind()), Some(ErrorKind::ConnectionRefused));
        scene.agent.tell("watch");
        assert_eq!(scene.agent.ask("seen"), "; lost 0", "what was before is not told");
        for (at, program, who) in [
            (0, "from_container", pod.to_string()),
            (1, "connect", "-".to_owned()),
            (2, "from_netdev", outside.to_string()),
        ] {
            assert!(dial(&scene.places()[at], frontend).is_err());
            scene.sees(&format!("{program} refused 1 {who} {frontend}"));
        }
        let proxy = scene.proxy();
        assert_eq!(dial(&scene.places()[2], frontend).unwrap().who, "proxy");
        scene.sees(&format!("from_netdev taken 1 {outside} {frontend}"));
        drop(proxy);
        scene.agent.tell("leave");
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn a_new_pod_is_covered_and_its_end_leaves_no_pin() {
    everywhere("new", |scene, frontend| {
        let _proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
        let pins = |scene: &Scene| scene.node.run("sh", ["-c", "ls /sys/fs/bpf/axoneme/*"]).unwrap();
        let before = pins(scene);
        let name = if frontend.is_ipv4() { "late4" } else { "late6" };
        let pod = scene.node.pod(name).unwrap();
        wait_until("the new pod is covered", SOON, || {
            Ok(dial(&Place::Net(&pod), frontend).is_ok_and(|talk| talk.who == "proxy"))
        })
        .unwrap();
        assert_ne!(pins(scene), before);
        drop(pod);
        wait_until("the pin is gone", SOON, || Ok(pins(scene) == before)).unwrap();
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn reverse_path_checks_that_look_at_marks_do_no_harm() {
    everywhere("marks", |scene, frontend| {
        let _proxy = scene.proxy();
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse 1"));
        for (rp_filter, src_valid_mark) in [("1", "1"), ("2", "1"), ("1", "0"), ("0", "0")] {
            scene.node.set("ipv4.conf.all.rp_filter", rp_filter).unwrap();
            scene.node.set("ipv4.conf.all.src_valid_mark", src_valid_mark).unwrap();
            for place in scene.places() {
                let who = &dial(&place, frontend).unwrap().who;
                assert_eq!(who, "proxy", "{place:?} rp_filter {rp_filter} src_valid_mark {src_valid_mark}");
            }
        }
        scene.agent.tell(&format!("remove {frontend}"));
    });
}

#[test]
fn a_smaller_mtu_on_the_way_is_learnt_from_icmp() {
    let mut scene = Scene::new("mtu", Layout::Routed);
    let _proxy = scene.proxy();
    for frontend in scene.frontends() {
        scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on refuse-all 1"));
        let behind = scene.behind_a_small_link(frontend);
        let mut talk = dial(&Place::Net(&behind), frontend).unwrap();
        assert_eq!(talk.who, "proxy");
        let much = "much".repeat(50_000);
        assert!(talk.say(&much).unwrap() == much, "{frontend}: not all came back");
        let route = scene.node.run("ip", ["route", "get", &talk.peer.ip().to_string()]).unwrap();
        assert!(route.contains(&format!("mtu {}", scene::small_mtu(frontend))), "{route}");
    }
}

#[test]
fn the_node_tells_its_addresses_and_who_listens() {
    let mut scene = Scene::new("tell", Layout::Bridge);
    assert_eq!(scene.agent.ask("addresses"), "10.230.0.11 10.231.1.1 fd00:230::11 fd00:231:1::1");
    scene.node.ip(["addr add 10.230.0.99/24 dev eth0"]).unwrap();
    let told = |scene: &mut Scene| scene.agent.ask("addresses").contains("10.230.0.99");
    wait_until("the new address is told", SOON, || Ok(told(&mut scene))).unwrap();
    scene.node.ip(["addr del 10.230.0.99/24 dev eth0"]).unwrap();
    wait_until("the address is gone", SOON, || Ok(!told(&mut scene))).unwrap();
    assert_eq!(scene.agent.ask(&format!("listening {PROXY_PORT}")), "false");
    let proxy = scene.proxy();
    assert_eq!(scene.agent.ask(&format!("listening {PROXY_PORT}")), "true");
    drop(proxy);
    scene.end();
}

#[test]
fn edge_24_a_dual_stack_socket_of_the_host_is_taken_too() {
    let mut scene = Scene::new("mapped", Layout::Routed);
    let _proxy = scene.proxy();
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
    let mapped = format!("[::ffff:{}]:{}", frontend.ip(), frontend.port()).parse().unwrap();
    let talk = dial(&Place::Host(&scene.node), mapped).unwrap();
    assert_eq!((talk.who.as_str(), talk.local), ("proxy", frontend));
    drop(talk);
    scene.end();
}

#[test]
fn sockets_that_are_not_the_hosts_own_are_left_alone() {
    let mut scene = Scene::new("alone", Layout::Routed);
    let _proxy = scene.proxy();
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
    assert_eq!(scene.agent.ask(&format!("greet {frontend} mark 4096")), "proxy", "a mark of other bits");
    for mark in [0xc00, 0x100] {
        assert_eq!(scene.agent.ask(&format!("greet {frontend} mark {mark}")), "backend", "{mark:#x}");
    }
    // A process of a pod is in a control group below the node's, but its network is its own.
    let talk = dial(&Place::Host(&scene.pod), frontend).unwrap();
    assert_eq!((talk.who.as_str(), talk.peer.ip()), ("proxy", scene.pod.address.v4.into()));
    drop(talk);
    scene.end();
}

#[test]
fn what_others_take_away_is_put_back() {
    let mut scene = Scene::new("back", Layout::Routed);
    let _proxy = scene.proxy();
    let frontend = scene.frontends()[0];
    scene.agent.tell(&format!("set {frontend} {PROXY_PORT} on bypass 1"));
    scene.node.ip(["rule del pref 9", "route flush table 2005"]).unwrap();
    scene.node.run("ip", ["-6", "rule", "del", "pref", "10"]).unwrap();
    for place in scene.places() {
        let taken = || Ok(dial(&place, frontend).is_ok_and(|talk| talk.who == "proxy"));
        wait_until("the redirect works again", SOON, taken).unwrap();
    }
    scene.end();
}
