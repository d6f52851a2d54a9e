//! `sessionAffinity: ClientIP`: a client stays with its backend, whichever proxy it comes through.

use std::{collections::BTreeSet, net::SocketAddr};

use axoneme_testnet::manifest::{endpoint_slices, tcp_config};

use crate::{
    curl::Curl,
    scene::{PORT, Scene, ingress, path, rule},
};

/// The Service `web` with the pods of both Services behind it, which answer with their names.
fn both(scene: &Scene, affinity: &str) {
    let addresses: Vec<_> = scene.pods.iter().map(|pod| pod.address).collect();
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec:\n  type: LoadBalancer\n  \
         sessionAffinity: {affinity}\n  ports: [{{port: 80, targetPort: {PORT}}}]\n---\n"
    );
    scene.write("web.yaml", &format!("{service}{}", endpoint_slices("shop", "web", "", PORT, &addresses)));
}

/// Who answers each of these clients, asked several times, as a proxy in front names them.
fn backends(scene: &Scene, clients: &[u8]) -> Vec<BTreeSet<String>> {
    let ask = |client: &u8| -> Curl {
        scene.curl("http://shop.example/").header(&format!("x-forwarded-for: 198.51.100.{client}"))
    };
    let answers = |curl: Curl| (0..6).map(|_| curl.ask(&scene.outside).body).collect();
    clients.iter().map(ask).map(answers).collect()
}

#[test]
fn a_client_stays_with_its_backend_when_the_service_says_so() {
    let rules = format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "web")]));
    let flags = ["--ingress-default-xff-num-trusted-hops=1"];
    let scene = Scene::start_with("ing-affinity", &["web"], &ingress("web", "", &rules), &flags);
    let probe = scene.curl("http://shop.example/").header("x-forwarded-for: 198.51.100.1");

    both(&scene, "None");
    scene.until(&probe, |answer| answer.body.trim() == "api");
    scene.until(&probe, |answer| answer.body.trim() == "web");

    both(&scene, "ClientIP");
    let clients: Vec<u8> = (1..=12).collect();
    scene.wait("every client has one backend", || backends(&scene, &clients[..3]).iter().all(|seen| seen.len() == 1));
    let seen = backends(&scene, &clients);
    assert!(seen.iter().all(|backends| backends.len() == 1), "{seen:?}");
    let all: BTreeSet<String> = seen.iter().flatten().cloned().collect();
    assert_eq!(all.len(), 2, "not all clients are with the same one: {seen:?}");

    both(&scene, "None");
    scene.wait("a client has both", || backends(&scene, &clients[..1])[0].len() == 2);
}

/// Nothing but its address tells who a client is.
#[test]
fn clients_of_a_tcp_proxy_stay_with_their_backends_over_both_families() {
    let scene = Scene::start("tcp-affinity", &[], &tcp_config("shop", "web", "web"));
    both(&scene, "None");
    for at in scene.balancers_of("shop/web:80") {
        let ask = |client: &str| -> Curl { Curl::new("http://web/", at).with(&["--interface", client]) };
        let clients: Vec<String> = (150..156).map(|number| client(at, number)).collect();
        let length = if at.is_ipv4() { "24" } else { "64 nodad" };
        scene.outside.ip(clients.iter().map(|client| format!("addr add {client}/{length} dev eth0"))).unwrap();
        both(&scene, "None");
        scene.until(&ask(&clients[0]), |answer| answer.body == "api");
        scene.until(&ask(&clients[0]), |answer| answer.body == "web");

        both(&scene, "ClientIP");
        let seen = |client: &String| -> BTreeSet<String> {
            let curl = ask(client);
            (0..3).map(|_| curl.ask(&scene.outside).body).collect()
        };
        scene.wait("the first client has one backend", || seen(&clients[0]).len() == 1);
        let seen: Vec<_> = clients.iter().map(seen).collect();
        assert!(seen.iter().all(|backends| backends.len() == 1), "{at}: {seen:?}");
        let all: BTreeSet<String> = seen.into_iter().flatten().collect();
        assert_eq!(all, ["api", "web"].map(str::to_owned).into(), "not all clients of {at} are with the same one");
    }
}

/// An address of the LAN, where the node answers without a route.
fn client(at: SocketAddr, number: u8) -> String {
    if at.is_ipv4() { format!("10.230.0.{number}") } else { format!("fd00:230::{number}") }
}
