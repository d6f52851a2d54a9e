//! Rules of somebody else about who may reach a pod, on the way through the proxy.

use axoneme_testnet::Layout;

use crate::scene::{OTHER, SAME, Scene};

const HEAD: &str = "  name: envoy-lb-listener\n  namespace: cilium-test\n";
const KEEPS: &str = "  annotations: {cec.cilium.io/use-original-source-address: \"true\"}\n";

#[test]
fn cve_2026_33726_where_the_clients_address_is_kept_a_policy_holds_on_one_node() {
    let scene = Scene::start_with("policy", Layout::Routed, &[SAME, OTHER], |article| {
        article.delete("ingress.yaml")?;
        for long in ["5s", "3s"] {
            article.edit("cec.yaml", &format!("connect_timeout: {long}"), "connect_timeout: 0.2s")?;
        }
        article.edit("cec.yaml", HEAD, &format!("{HEAD}{KEEPS}"))
    });
    let (pod, node) = (scene.article.client.clone(), &scene.article.node);
    let at = scene.both(SAME)[0];
    scene.until(node, at, "/", |answer| answer.status() == Some(200));
    // As a network plug-in drops it: by the two pods' addresses, where packets leave for the pod.
    let rule = format!("ip saddr {} tcp dport 8080 drop", pod.address.v4);
    node.nft(&format!(
        "table inet plugin {{ chain out {{ type filter hook output priority 0; oifname \"veth*\" {rule}; }}; chain forward {{ type \
         filter hook forward priority 0; oifname \"veth*\" {rule}; }}; }}"
    ))
    .unwrap();
    for _ in 0..3 {
        assert_eq!(scene.get(&pod, at, "/").status(), Some(503));
    }
    // It is about this pod alone.
    assert_eq!(scene.get(node, at, "/").status(), Some(200));
    node.run("nft", ["delete", "table", "inet", "plugin"]).unwrap();
    scene.until(&pod, at, "/", |answer| answer.status() == Some(200));
}
