//! How long requests may take, and who may connect.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    thread::spawn,
};

use axoneme_testnet::Namespace;

use crate::scene::{Scene, ingress, path, rule};

fn web(annotations: &str) -> String {
    let paths = [path("Prefix", "/", "web"), path("Prefix", "/slow", "slow")];
    ingress("web", annotations, &format!("rules: [{}]", rule("shop.example", &[&paths[0], &paths[1]])))
}

/// A server in a pod that takes requests and never answers.
fn never_answers(pod: &Namespace, port: u16) {
    let listener = pod.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    let listen = |mut stream: TcpStream| while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {};
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            spawn(move || listen(stream));
        }
    });
}

#[test]
fn edge_23_a_request_may_take_as_long_as_it_is_given() {
    let scene = Scene::start("ing-slow", &["web"], &web("ingress.cilium.io/request-timeout: 300ms"));
    never_answers(&scene.pods[0], 8081);
    scene.publish("slow", "", &scene.pods[0], 8081);
    let slow = scene.curl("http://shop.example/slow");
    scene.until(&slow, |answer| answer.status == 504);

    scene.write("ingress.yaml", &web("ingress.cilium.io/stream-idle-timeout: 300ms"));
    scene.until(&slow, |answer| answer.status == 504 || answer.status == 408);

    // Without a limit the client is the first who has enough.
    let impatient = slow.clone().with(&["--max-time", "2"]);
    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: soon"));
    scene.says(&["ingress.cilium.io/request-timeout", "\"soon\" is not a duration"]);
    scene.until(&impatient, |answer| answer.exit == 28);
    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: 400ms"));
    scene.until(&slow, |answer| answer.status == 504);
    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: 0s"));
    scene.until(&impatient, |answer| answer.exit == 28);
}

#[test]
fn edge_23_a_flag_is_for_whoever_says_nothing() {
    let flag = ["--ingress-default-request-timeout=300ms"];
    let scene = Scene::start_with("ing-flag", &["web"], &web(""), &flag);
    never_answers(&scene.pods[0], 8081);
    scene.publish("slow", "", &scene.pods[0], 8081);
    let slow = scene.curl("http://shop.example/slow");
    scene.until(&slow, |answer| answer.status == 504);
    // Nothing is not zero: this one may take as long as it wants.
    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: 0s"));
    scene.until(&slow.clone().with(&["--max-time", "2"]), |answer| answer.exit == 28);
    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: soon"));
    scene.until(&slow, |answer| answer.status == 504);
}

#[test]
fn edge_14_only_the_ranges_that_are_named_may_connect() {
    let ranges = |ranges: &str| web(&format!("ingress.axoneme.io/load-balancer-source-ranges: {ranges:?}"));
    let scene = Scene::start("ing-ranges", &["web"], &ranges("198.51.100.0/24"));
    let ask = scene.curl("http://shop.example/");
    // The node refuses who comes from outside; of a client inside only Envoy knows the Ingress's ranges.
    assert_eq!(ask.ask(&scene.outside).exit, 7);
    let inside = ask.ask(&scene.pods[0]).exit;
    assert!(inside == 52 || inside == 56, "{inside}");
    let own = scene.outside.address.each()[0];
    scene.write("ingress.yaml", &ranges(&format!("198.51.100.0/24,{own}/32")));
    scene.until(&ask, |answer| answer.status == 200);
    scene.write("ingress.yaml", &ranges("everybody"));
    scene.until(&ask, |answer| answer.exit == 52 || answer.exit == 56);
    scene.says(&["load-balancer-source-ranges", "it lets nobody in"]);
}
