//! What one Ingress alone can have at the shared address: names that are passed through, and ranges of clients. By shards and by one
//! table.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{
    certificates::Pair,
    curl::Curl,
    passthrough::{BODY, tls_server},
    raw::connect,
    scene::{Scene, path, rule},
};

/// A shared Ingress of namespace `shop` with one host: name, day of birth, more annotations, host, Service, and more of its spec.
fn shared(name: &str, day: u32, annotations: &str, host: &str, service: &str, more: &str) -> String {
    let rule = rule(host, &[&path("Prefix", "/", service)]);
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: \
         \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: shared{annotations}}}}}\nspec:\n  \
         ingressClassName: cilium\n  {more}rules: [{rule}]\n---\n"
    )
}

/// With the certificate of its host in a Secret of the same name.
fn ended(name: &str, host: &str, service: &str) -> String {
    shared(name, 1, "", host, service, &format!("tls: [{{hosts: [{host:?}], secretName: {name}}}]\n  "))
}

fn db(passed: bool) -> String {
    let (annotation, service) =
        if passed { (", ingress.cilium.io/tls-passthrough: enabled", "db") } else { ("", "web") };
    shared("db", 2, annotation, "db.wide.example", service, "")
}

/// Asks once more on a connection that is kept.
fn ask_again(kept: &mut TcpStream) {
    kept.write_all(b"GET / HTTP/1.1\r\nhost: mine.example\r\n\r\n").unwrap();
    let (mut answer, mut piece) = (String::new(), [0; 1024]);
    while !answer.split_once("\r\n\r\n").is_some_and(|(_, body)| body.contains("web")) {
        let read = kept.read(&mut piece).unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer += &String::from_utf8_lossy(&piece[..read]);
    }
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
}

fn names_pass_beside_others(scene: &str, flags: &[&str]) {
    let (own, wide) = (Pair::of(&["own.example"]), Pair::of(&["*.wide.example"]));
    let backend = Pair::of(&["db.wide.example"]);
    let range = |range: &str| format!(", ingress.axoneme.io/load-balancer-source-ranges: {range}");
    let manifests = [
        ended("own", "own.example", "web"),
        ended("wide", "*.wide.example", "api"),
        shared("mine", 3, &range("0.0.0.0/0"), "mine.example", "web", ""),
        shared("closed", 3, &range("198.51.100.0/24"), "closed.example", "web", ""),
        own.secret("own"),
        "---\n".to_owned(),
        wide.secret("wide"),
    ];
    let scene = Scene::start_with(scene, &[], &manifests.concat(), flags);
    let pod = &scene.pods[0];
    tls_server(pod, 8443, &backend);
    scene.publish("db", "", pod, 8443);
    scene.write("passed.yaml", &db(true));
    let (secure, plain) = (scene.shared_at(443), scene.shared_at(80));
    let (trust_own, trust_wide, trust_backend) = (own.file(), wide.file(), backend.file());
    let at = |url: &str| Curl::new(url, if url.starts_with("https:") { secure } else { plain });

    scene.until(&at("http://mine.example/"), |answer| answer.body == "web");
    let mut kept = connect(&scene.outside, plain);
    ask_again(&mut kept);

    // The name itself, although a wildcard of somebody else's covers it.
    let passed = at("https://db.wide.example/").trust(&trust_backend);
    assert_eq!(scene.until(&passed, |answer| answer.status == 200).body, BODY);
    let served = [at("https://own.example/").trust(&trust_own), at("https://x.wide.example/").trust(&trust_wide)];
    for (curl, body) in served.iter().zip(["web", "api"]) {
        assert_eq!(scene.until(curl, |answer| answer.status == 200).body, body);
    }
    // A browser that has a connection for the wildcard and may use it for this name, too, is told to open another one.
    for version in ["--http1.1", "--http2"] {
        let on_theirs = served[1].clone().with(&[version]).header("host: db.wide.example");
        assert_eq!(on_theirs.ask(&scene.outside).status, 421, "{version}");
    }
    let sent = at("http://db.wide.example/a").ask(&scene.outside);
    assert_eq!((sent.status, sent.header("location")), (308, "https://db.wide.example/a"), "{sent:?}");

    // Who comes later and wants to serve it waits.
    scene.write("late.yaml", &shared("late", 4, "", "db.wide.example", "api", ""));
    scene.says(&["RouteConflict", "Ingress shop/late", "Ingress shop/db is older and has host db.wide.example"]);
    assert_eq!(passed.ask(&scene.outside).body, BODY);
    scene.delete("late.yaml");

    // Off and on again: the wildcard's certificate is for it meanwhile, and its own routes.
    scene.write("passed.yaml", &db(false));
    scene.until(&at("https://db.wide.example/").trust(&trust_wide), |answer| answer.body == "web");
    scene.write("passed.yaml", &db(true));
    assert_eq!(scene.until(&passed, |answer| answer.status == 200).body, BODY);
    // To an address of its own, and back.
    scene.write("passed.yaml", &db(true).replace("-mode: shared", "-mode: dedicated"));
    scene.until(&at("https://db.wide.example/").trust(&trust_wide), |answer| answer.body == "api");
    let own = Curl::new("https://db.wide.example/", scene.soon_at("db", 443)).trust(&trust_backend);
    assert_eq!(scene.until(&own, |answer| answer.status == 200).body, BODY);
    scene.write("passed.yaml", &db(true));
    assert_eq!(scene.until(&passed, |answer| answer.status == 200).body, BODY);
    ask_again(&mut kept);
    // Its last endpoint goes: nobody is left hanging.
    scene.delete("db.yaml");
    scene.until(&at("https://db.wide.example/").with(&["--insecure"]), |answer| answer.exit == 35);
    for (curl, body) in served.iter().zip(["web", "api"]) {
        assert_eq!(curl.ask(&scene.outside).body, body);
    }
    ask_again(&mut kept);

    // Ranges are those of one Ingress, too, in both ways in.
    assert_eq!(at("http://mine.example/").ask(&scene.outside).body, "web");
    assert_eq!(at("http://closed.example/").ask(&scene.outside).status, 403);
    let on_theirs = served[0].clone().header("host: closed.example");
    assert_eq!(on_theirs.ask(&scene.outside).status, 403);
}

#[test]
fn edge_19_names_are_passed_through_at_the_shared_address() {
    names_pass_beside_others("shared-pass", &[]);
}

#[test]
fn edge_19_names_are_passed_through_at_the_shared_address_without_the_module_too() {
    names_pass_beside_others("shared-pass-whole", &["--envoy-module", "off"]);
}
