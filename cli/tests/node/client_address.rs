//! `cec.cilium.io/use-original-source-address`: which peer backends see, with a real Envoy, on one node and across two.

use std::{collections::BTreeSet, net::IpAddr};

use axoneme_testnet::{Lab, Layout, Namespace, Node, address, article::Backend, http::Answer, wait_until};

use crate::scene::{ECHO, OTHER, SAME, SOON, Scene};

const ANNOTATION: &str = "  annotations: {cec.cilium.io/use-original-source-address: \"true\"}\n";

/// The service `echo-same-node` has a pod on this node, `echo-other-node` one on another.
fn scene(name: &str, layout: Layout, keeps: bool) -> (Scene, Node) {
    let mut scene = Scene::start_with(name, layout, &[SAME, OTHER], |article| {
        article.delete("ingress.yaml")?;
        let head = "  name: envoy-lb-listener\n  namespace: cilium-test\n";
        article.edit("cec.yaml", head, &if keeps { format!("{head}{ANNOTATION}") } else { head.to_owned() })
    });
    let article = &mut scene.article;
    let mut other = article.lab.node("node2", layout).unwrap();
    let pod = other.pod("far").unwrap();
    let server = pod.spawn(ECHO.as_path(), ["--listen", ":8080", "--text", "far"]).unwrap();
    wait_until("the far server", SOON, || Ok(server.log()?.contains("listens"))).unwrap();
    article.backends.insert("far".to_owned(), Backend { server, pod });
    article.publish("echo-other-node", &["far"]).unwrap();
    for range in [address::SERVICES_V4, address::SERVICES_V6] {
        Lab::route(&article.outside, range, &article.node).unwrap();
    }
    scene.wait_for_hosts("echo-other-node", 1);
    (scene, other)
}

/// What a backend saw: its name, and the address of its peer.
fn saw(answer: &Answer) -> (String, IpAddr) {
    let saw: serde_json::Value = serde_json::from_str(answer.text()).unwrap_or_else(|_| panic!("{answer:?}"));
    let peer: std::net::SocketAddr = saw["remote"].as_str().unwrap().parse().unwrap();
    (answer.header("x-echo-name").to_owned(), peer.ip())
}

/// Which peers each of the two backends sees when it is asked often enough that both are.
fn peers(scene: &Scene, from: &Namespace, v6: bool) -> [BTreeSet<IpAddr>; 2] {
    let at = scene.both(SAME)[usize::from(v6)];
    let mut peers = [BTreeSet::new(), BTreeSet::new()];
    for answer in scene.get_many(from, at, "/echo", 30) {
        let (name, peer) = saw(&answer);
        peers[usize::from(name == "far")].insert(peer);
    }
    assert!(peers.iter().all(|peers| !peers.is_empty()), "only one was asked: {peers:?}");
    peers
}

fn backends_see(name: &str, layout: Layout) {
    let (scene, other) = scene(name, layout, true);
    let article = &scene.article;
    let (pod, near) = (article.client.clone(), article.backends["echo-same-node"].pod.clone());
    for v6 in [false, true] {
        let at = |namespace: &Namespace| BTreeSet::from([namespace.address.each()[usize::from(v6)]]);
        // On the same node, and on another.
        assert_eq!(peers(&scene, &pod, v6), [at(&pod), at(&pod)], "{layout:?} pod");
        // A client outside has its address only where replies come back this way.
        assert_eq!(
            peers(&scene, &article.outside, v6),
            [at(&article.outside), at(&article.node)],
            "{layout:?} outside"
        );
        assert_eq!(peers(&scene, &article.node, v6)[1], at(&article.node), "{layout:?} host");
        // Asked by itself, a pod sees the node.
        let [itself, far] = peers(&scene, &near, v6);
        assert!(!itself.is_disjoint(&own(&article.node)) && far == at(&near), "{layout:?} {itself:?} {far:?}");
    }
    // The way there came after the node was looked at.
    article.node.ip(other.pod_ranges().map(|range| format!("route del {range}"))).unwrap();
    scene.ends_and_leaves_nothing();
}

fn own(node: &Namespace) -> BTreeSet<IpAddr> {
    let text = node.run("ip", ["-o", "addr", "show"]).unwrap();
    let address = |line: &str| line.split_whitespace().nth(3)?.split('/').next()?.parse().ok();
    text.lines().filter_map(address).collect()
}

#[test]
fn backends_see_the_client_with_routed_pods() {
    backends_see("client-routed", Layout::Routed);
}

#[test]
fn backends_see_the_client_with_bridged_pods() {
    backends_see("client-bridge", Layout::Bridge);
}

#[test]
fn the_annotation_is_heeded_when_it_comes_and_goes_and_the_flag_where_there_is_none() {
    let (scene, _other) = scene("client-later", Layout::Routed, false);
    let (pod, at) = (scene.article.client.clone(), scene.both(SAME)[0]);
    let own = own(&scene.article.node);
    let sees = |scene: &Scene, is_it: &dyn Fn(IpAddr) -> bool| {
        scene.until(&pod, at, "/echo", |answer| answer.status() == Some(200) && is_it(saw(answer).1));
    };
    let is_pod = |peer| peer == IpAddr::from(pod.address.v4);
    let is_node = |peer| own.contains(&peer);
    sees(&scene, &is_node);
    let head = "  name: envoy-lb-listener\n  namespace: cilium-test\n";
    let annotate = |scene: &Scene, to: &str| scene.article.edit("cec.yaml", head, &format!("{head}{to}")).unwrap();
    annotate(&scene, ANNOTATION);
    sees(&scene, &is_pod);
    assert_eq!(peers(&scene, &pod, false), [(); 2].map(|()| BTreeSet::from([pod.address.v4.into()])));
    scene.article.edit("cec.yaml", ANNOTATION, "").unwrap();
    sees(&scene, &is_node);

    let mut scene = scene.again_with(&["--use-original-source-address"]);
    scene.wait_for(&[SAME, OTHER]);
    sees(&scene, &is_pod);
    annotate(&scene, &ANNOTATION.replace("true", "false"));
    sees(&scene, &is_node);
}
