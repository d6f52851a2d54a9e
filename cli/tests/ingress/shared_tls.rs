//! Shared mode with TLS: names of several Ingresses at one address, each with its certificate, by shards and by one table.

use std::net::SocketAddr;

use crate::{
    certificates::Pair,
    curl::Curl,
    scene::{Scene, ingress, path, rule},
};

const SHARED: &str = "ingress.cilium.io/loadbalancer-mode: shared";

/// A shared Ingress with one host, its certificate in a Secret of the same name.
fn shared(name: &str, host: &str, service: &str) -> String {
    let rule = rule(host, &[&path("Prefix", "/", service)]);
    ingress(name, SHARED, &format!("tls: [{{hosts: [{host:?}], secretName: {name}}}]\n  rules: [{rule}]"))
}

fn ask(url: &str, at: SocketAddr) -> Curl {
    Curl::new(url, at)
}

fn names_have_their_own_certificates(scene: &str, flags: &[&str]) {
    let (one, wild, late) =
        (Pair::of(&["one.example"]), Pair::of(&["*.wild.example"]), Pair::of(&["late.wild.example"]));
    let manifests = [
        shared("one", "one.example", "web"),
        one.secret("one"),
        "---\n".to_owned(),
        shared("wild", "*.wild.example", "api"),
        wild.secret("wild"),
    ];
    let scene = Scene::start_with(scene, &[], &manifests.concat(), flags);
    let (secure, plain) = (scene.shared_at(443), scene.shared_at(80));
    let (trust_one, trust_wild, trust_late) = (one.file(), wild.file(), late.file());

    for version in ["--http1.1", "--http2"] {
        let first = ask("https://one.example/", secure).trust(&trust_one).with(&[version]);
        assert_eq!(scene.until(&first, |answer| answer.status == 200).body, "web", "{version}");
        // The names of a client are in any case, and so are hosts.
        let below = ask("https://A.Wild.example/", secure).trust(&trust_wild).with(&[version]);
        assert_eq!(scene.until(&below, |answer| answer.status == 200).body, "api", "{version}");
    }
    // Who connects for one host and asks for another gets what that host serves.
    let other = ask("https://one.example/", secure).trust(&trust_one).header("host: x.wild.example");
    assert_eq!(other.ask(&scene.outside).body, "api");
    // Nobody's certificate for a name that nobody has.
    assert_eq!(ask("https://two.example/", secure).with(&["--insecure"]).ask(&scene.outside).exit, 35);
    // One label: there is a certificate to show, as Envoy reads it, but no route.
    assert_eq!(ask("https://a.b.wild.example/", secure).with(&["--insecure"]).ask(&scene.outside).status, 404);
    let sent = ask("http://one.example/a", plain).ask(&scene.outside);
    assert_eq!((sent.status, sent.header("location")), (308, "https://one.example/a"), "{sent:?}");

    // An exact name below a wildcard comes, with a certificate of its own, and goes.
    scene.write("late.yaml", &[shared("late", "late.wild.example", "web"), late.secret("late")].concat());
    let exact = ask("https://late.wild.example/", secure);
    scene.until(&exact.clone().trust(&trust_late), |answer| answer.body == "web");
    scene.delete("late.yaml");
    scene.until(&exact.trust(&trust_wild), |answer| answer.body == "api");

    // A rotation is on the wire at once for who connects anew.
    let next = Pair::of(&["one.example"]);
    scene.write("one.yaml", &shared("one", "one.example", "web"));
    scene.write(
        "ingress.yaml",
        &[shared("wild", "*.wild.example", "api"), wild.secret("wild"), "---\n".into(), next.secret("one")].concat(),
    );
    let trust_next = next.file();
    scene.until(&ask("https://one.example/", secure).trust(&trust_next), |answer| answer.body == "web");
}

#[test]
fn edge_17_shared_names_have_their_own_certificates() {
    names_have_their_own_certificates("shared-tls", &[]);
}

#[test]
fn edge_17_shared_names_have_their_own_certificates_without_the_module_too() {
    names_have_their_own_certificates("shared-tls-whole", &["--envoy-module", "off"]);
}
