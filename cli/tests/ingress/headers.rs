//! What a backend may believe of the headers of a request, and how many of them there may be.

use crate::scene::{Scene, ingress, path, rule};

fn web(annotations: &str) -> String {
    ingress("web", annotations, &format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "web")])))
}

/// With which Envoy and those who trust each other tell each other things. From outside each of them is a lie.
const INTERNAL: [&str; 19] = [
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-retriable-header-names",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-forwarded-client-cert",
];

#[test]
fn edge_22_headers_are_what_the_mesh_knows_and_not_what_a_client_says() {
    let scene = Scene::start("ing-headers", &["web"], &web(""));
    let ask = scene.curl("http://shop.example/echo");
    let ask = ask.header("x-forwarded-for: 198.51.100.1").header("x-forwarded-proto: https").header("x_user: root");
    let ask = ask.header("x-request-id: 00000000-0000-4000-8000-000000000000").header("x-kept: yes");
    let ask = ask.header("x-envoy-external-address: 198.51.100.1").header("x-envoy-upstream-rq-timeout-ms: 1");
    let ask = INTERNAL.iter().fold(ask, |ask, name| ask.header(&format!("{name}: 1")));
    let saw = scene.until(&ask, |answer| answer.status == 200).saw();
    let header = |name: &str| saw["headers"][name].as_str().unwrap_or_default().to_owned();
    let own = scene.outside.address.each()[0].to_string();
    assert_eq!(header("x-forwarded-for"), format!("198.51.100.1,{own}"), "the one that is sure stands last");
    assert_eq!(header("x-envoy-external-address"), own);
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x_user"), "", "a backend could take it for x-user");
    assert_eq!(header("x-kept"), "yes");
    let id = header("x-request-id");
    assert!(id.len() == 36 && !id.starts_with("00000000"), "a client could write into the traces of others: {id}");
    let believed: Vec<_> = INTERNAL.into_iter().filter(|name| header(name) == "1").collect();
    assert_eq!(believed, Vec::<&str>::new());
    // Nobody sets a timeout for himself: this request took longer than a millisecond, or it would have been a 504.
    assert_eq!(header("x-envoy-upstream-rq-timeout-ms"), "");

    scene.write("ingress.yaml", &web("ingress.axoneme.io/header-underscores: reject"));
    let ask = scene.curl("http://shop.example/echo").header("x_user: root");
    scene.until(&ask, |answer| answer.status == 400);
    scene.write("ingress.yaml", &web("ingress.axoneme.io/header-underscores: allow"));
    scene.until(&ask, |answer| answer.status == 200 && answer.saw()["headers"]["x_user"] == "root");
}

#[test]
fn edge_23_there_is_a_limit_to_headers() {
    let scene = Scene::start("ing-many", &["web"], &web(""));
    let ask = scene.curl("http://shop.example/");
    scene.until(&ask, |answer| answer.status == 200);
    let with = |count: usize| (0..count).fold(ask.clone(), |ask, at| ask.header(&format!("x-{at}: y")));
    assert_eq!(with(80).ask(&scene.outside).status, 200);
    assert_eq!(with(101).ask(&scene.outside).status, 431);
    let large = |size: usize| ask.clone().header(&format!("x-large: {}", "y".repeat(size))).ask(&scene.outside).status;
    assert_eq!((large(50 * 1024), large(61 * 1024)), (200, 431));
    // One name many times is as many headers.
    let twice = (0..101).fold(ask.clone(), |ask, _| ask.header("x-same: y"));
    assert_eq!(twice.ask(&scene.outside).status, 431);
}
