//! Ingresses at ports of the node itself.

use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::certificates::Pair;
use crate::curl::Curl;
use crate::passthrough::{BODY, tls_server};
use crate::scene::{Scene, ingress, path, rule};

const FLAG: &str = "--ingress-hostnetwork-enabled=true";

/// An Ingress for every host at a port of the node, and when it was made.
fn at_port(name: &str, day: u8, port: &str, tls: &str, service: &str) -> String {
    let annotation = format!("ingress.cilium.io/host-listener-port: {port:?}");
    let spec = format!("{tls}rules: [{}]", rule("", &[&path("Prefix", "/", service)]));
    let made = format!("name: {name}, creationTimestamp: \"2026-01-{day:02}T00:00:00Z\",");
    ingress(name, &annotation, &spec).replacen(&format!("name: {name},"), &made, 1)
}

fn ask(url: &str, ip: IpAddr, port: u16) -> Curl {
    Curl::new(url, SocketAddr::new(ip, port))
}

#[test]
fn edge_20_each_at_a_port_of_its_own_on_both_families() {
    let pair = Pair::of(&["shop.example"]);
    let tls = "tls: [{hosts: [shop.example], secretName: shop}]\n  ";
    // One of the ports is below 1024, which needs a right that the others do not.
    let manifests = [at_port("web", 1, "443", tls, "web"), at_port("api", 1, "8081", "", "api"), pair.secret("shop")];
    let scene = Scene::start_with("ing-host", &[], &manifests.concat(), &[FLAG]);
    let trusted = pair.file();
    for ip in scene.node().address.each() {
        scene.until(&ask("http://shop.example/", ip, 8081), |answer| answer.body == "api");
        scene.until(&ask("https://shop.example/", ip, 443).trust(&trusted), |answer| answer.body == "web");
        scene.until(&ask("http://plain.example/", ip, 443), |answer| answer.body == "web");
    }
    scene.says(&["answers", "Ingress shop/web at port 443 of this machine"]);
    // The listener moves, and what it was bound to before is free again.
    scene.write("ingress.yaml", &[at_port("web", 1, "8443", tls, "web"), pair.secret("shop")].concat());
    for ip in scene.node().address.each() {
        scene.until(&ask("https://shop.example/", ip, 8443).trust(&trusted), |answer| answer.body == "web");
        for port in [443, 8081] {
            scene.until(&ask("http://shop.example/", ip, port), |answer| answer.exit == 7);
        }
    }
}

#[test]
fn edge_20_of_two_that_want_a_port_the_oldest_has_it_and_the_other_follows() {
    let late = at_port("late", 2, "8081", "", "api");
    let scene = Scene::start_with("ing-host-two", &[], &late, &[FLAG]);
    let [ip, _] = scene.node().address.each();
    let both = ask("http://shop.example/", ip, 8081);
    scene.until(&both, |answer| answer.body == "api");
    scene.write("early.yaml", &at_port("early", 1, "8081", "", "web"));
    scene.until(&both, |answer| answer.body == "web");
    scene.says(&["late", "Ingress shop/early is older and has port 8081 of the nodes"]);
    scene.delete("early.yaml");
    scene.until(&both, |answer| answer.body == "api");

    // Somebody else has a port of this node.
    let _taken = scene.node().enter(|| TcpListener::bind(("0.0.0.0", 8082))).unwrap().unwrap();
    scene.write("ingress.yaml", &at_port("late", 2, "8082", "", "api"));
    scene.says(&["late", "refuses host-port:8082", "Address already in use"]);

    scene.write("ingress.yaml", &at_port("late", 2, "12345", "", "api"));
    scene.says(&["host-listener-port", "12345 is one of the ports 10000-20000 that the proxy takes itself"]);
    scene.until(&both, |answer| answer.exit == 7);
}

#[test]
fn edge_20_all_of_shared_mode_at_one_port() {
    let shared = |name: &str, host: &str, service: &str| {
        let spec = format!("rules: [{}]", rule(host, &[&path("Prefix", "/", service)]));
        ingress(name, "ingress.cilium.io/loadbalancer-mode: shared", &spec)
    };
    let passed =
        shared("db", "db.example", "db").replace("shared}", "shared, ingress.cilium.io/tls-passthrough: enabled}");
    let manifests = [shared("web", "web.example", "web"), shared("api", "api.example", "api"), passed].concat();
    let flags = [FLAG, "--ingress-hostnetwork-shared-listener-port=8090"];
    let scene = Scene::start_with("ing-host-all", &[], &manifests, &flags);
    for ip in scene.node().address.each() {
        for name in ["web", "api"] {
            scene.until(&ask(&format!("http://{name}.example/"), ip, 8090), |answer| answer.body == name);
        }
    }
    let backend = Pair::of(&["db.example"]);
    tls_server(&scene.pods[0], 8443, &backend);
    scene.publish("db", "", &scene.pods[0], 8443);
    let trusted = backend.file();
    for ip in scene.node().address.each() {
        scene.until(&ask("https://db.example/", ip, 8090).trust(&trusted), |answer| answer.body == BODY);
    }
}
