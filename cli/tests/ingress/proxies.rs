//! Proxies in front: PROXY protocol, and `x-forwarded-for` of others.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::certificates::Pair;
use crate::scene::{Scene, ingress, path, rule};

/// Who sends a header that is not ours to believe.
const CLIENT: &str = "198.51.100.7";

fn web(annotations: &str) -> String {
    let tls = "tls: [{hosts: [tls.example], secretName: web}]\n  ";
    ingress("web", annotations, &format!("{tls}rules: [{}]", rule("", &[&path("Prefix", "/", "web")])))
}

/// Sends these bytes and takes what comes back until the end; nothing when the connection is cut.
fn exchange(scene: &Scene, bytes: &str) -> String {
    let at = scene.at("web", 80);
    let mut stream = scene.outside.enter(|| TcpStream::connect(at)).unwrap().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // A connection that is refused may be gone before the last byte is sent, and its end may be a reset.
    if stream.write_all(bytes.as_bytes()).is_ok() {
        let _ = stream.read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

const REQUEST: &str = "GET /echo HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";

fn proxied(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.1 40000 80\r\n{REQUEST}")
}

/// What the backend saw of a request.
fn header(answer: &str, name: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let json = body.find('{').zip(body.rfind('}')).map(|(first, last)| &body[first..=last]).unwrap_or_default();
    let saw: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{answer}"));
    saw["headers"][name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn edge_22_with_proxy_protocol_the_header_says_who_the_client_is() {
    let pair = Pair::of(&["tls.example"]);
    let manifests = [web(""), pair.secret("web")].concat();
    let scene = Scene::start_with("ing-proxy", &["web"], &manifests, &["--enable-ingress-proxy-protocol=true"]);
    let with_header = scene.curl("http://shop.example/").with(&["--haproxy-protocol"]);
    scene.until(&with_header, |answer| answer.status == 200);
    let trusted = pair.file();
    let tls = scene.curl("https://tls.example/").with(&["--haproxy-protocol"]).trust(&trusted);
    scene.until(&tls, |answer| answer.status == 200);

    let answer = exchange(&scene, &proxied(CLIENT));
    assert_eq!(header(&answer, "x-forwarded-for"), CLIENT);
    assert_eq!(header(&answer, "x-envoy-external-address"), CLIENT);
    // Who sends no header is not heard, nor one whose header is none.
    assert_eq!(exchange(&scene, REQUEST), "");
    assert_eq!(exchange(&scene, &proxied("nobody")), "");

    // Ranges are about the client, not about the load balancer that all of them come through.
    let range = "ingress.axoneme.io/load-balancer-source-ranges: 198.51.100.0/24";
    scene.write("ingress.yaml", &[web(range), pair.secret("web")].concat());
    scene.until(&with_header, |answer| answer.status == 0);
    assert_eq!(header(&exchange(&scene, &proxied(CLIENT)), "x-forwarded-for"), CLIENT);
    // One of Envoy's threads may be a moment behind the other.
    let refused = || Ok(exchange(&scene, &proxied("203.0.113.7")).is_empty());
    axoneme_testnet::wait_until("others to be refused", Duration::from_secs(20), refused).unwrap();

    scene.write("ingress.yaml", &[web("ingress.axoneme.io/proxy-protocol: disabled"), pair.secret("web")].concat());
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
}

/// What the backend saw of a request that came through two proxies, as they say.
fn forwarded(name: &str, flag: &str) -> serde_json::Value {
    let pair = Pair::of(&["tls.example"]);
    let scene = Scene::start_with(name, &["web"], &[web(""), pair.secret("web")].concat(), &[flag]);
    let ask = scene.curl("http://shop.example/echo").header("x-forwarded-for: 198.51.100.1, 198.51.100.2");
    let saw = scene.until(&ask, |answer| answer.status == 200).saw()["headers"].clone();
    let text = saw["x-forwarded-for"].as_str().unwrap_or_default();
    let own = scene.outside.address.each()[0].to_string();
    serde_json::json!([saw["x-envoy-external-address"], text.replace(&own, "OWN").replace(' ', "")])
}

#[test]
fn edge_22_one_proxy_in_front_is_believed() {
    let saw = forwarded("ing-hops-1", "--ingress-default-xff-num-trusted-hops=1");
    assert_eq!(saw, serde_json::json!(["198.51.100.2", "198.51.100.1,198.51.100.2,OWN"]));
}

#[test]
fn edge_22_two_proxies_in_front_are_believed() {
    let saw = forwarded("ing-hops-2", "--ingress-default-xff-num-trusted-hops=2");
    assert_eq!(saw, serde_json::json!(["198.51.100.1", "198.51.100.1,198.51.100.2,OWN"]));
}

#[test]
fn edge_22_the_header_is_passed_on_as_it_came() {
    let saw = forwarded("ing-as-is", "--ingress-use-remote-address=false");
    assert_eq!(saw[1], "198.51.100.1,198.51.100.2");
}
