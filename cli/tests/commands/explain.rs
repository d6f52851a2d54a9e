//! `axonctl explain` over a folder: one question, one snapshot.

use crate::{axonctl, golden};

/// Asks about the mesh, from `node-a` unless told otherwise.
fn story(name: &str, code: i32, target: &str, options: &[&str]) {
    let place: &[&str] = if options.iter().any(|it| it.starts_with("--node") || it.starts_with("--pod")) {
        &[]
    } else {
        &["--node=node-a"]
    };
    let said = axonctl(&[&["explain", target, "mesh"], place, options].concat());
    assert_eq!(said.code, code, "{said:?}");
    golden(&format!("explain-{name}"), &said.whole());
}

#[test]
fn a_service_with_all_its_routes() {
    story("service", 0, "shop/web:80", &[]);
}

#[test]
fn a_request_takes_shares_of_routes_and_clusters() {
    story("request", 0, "http://web.shop.svc/", &[]);
}

#[test]
fn a_request_with_a_header_takes_another_route() {
    story("header", 0, "http://web.shop/", &["-H", "x-version: canary", "-X", "POST"]);
}

#[test]
fn a_request_that_no_route_takes() {
    story("no-route", 1, "http://web.shop/other", &[]);
}

#[test]
fn a_port_that_is_not_listed() {
    story("port-not-listed", 1, "shop/web:8080", &[]);
}

#[test]
fn a_service_without_ready_endpoints_is_503() {
    story("no-endpoints", 1, "http://empty.shop/", &[]);
}

#[test]
fn an_object_for_other_nodes() {
    story("other-node", 1, "shop/zoned:80", &[]);
    story("this-node", 0, "shop/zoned:80", &["--node=node-b"]);
    story("pod", 0, "zoned:80", &["--pod=shop/client"]);
}

#[test]
fn an_object_that_is_refused() {
    story("refused", 1, "shop/refused", &[]);
}

/// Not as snapshots: what an Ingress becomes is for other tests to pin.
#[test]
fn an_ingress_by_its_host() {
    let ask = |url: &str, code: i32, wanted: &[&str]| {
        let said = axonctl(&["explain", "--node=node-a", url, "mesh"]);
        assert_eq!(said.code, code, "{said:?}");
        for text in wanted {
            assert!(said.out.contains(text), "{text:?} is not in {}", said.out);
        }
    };
    let object = "object    Ingress shop/shop, mesh/ingress.yaml:1";
    let foreign = "Ingress shop/foreign  its class \"nginx\" is not one of the mesh";
    let lost = "Ingress shop/lost     there is no IngressClass nobody";
    let cart =
        ["served by Ingress shop/shop", object, "path_separated_prefix \"/cart\"", "10.0.1.1:8080", foreign, lost];
    ask("http://shop.example/cart/1", 0, &cart);
    ask(
        "https://shop.example/",
        0,
        &["filter chain tls:shop.example", "10.0.0.1:8080", "path \"/\" is not below \"/cart\""],
    );
    ask("https://other.example/", 1, &["Ingress shop/shop  no filter chain takes TLS for other.example"]);
    ask("http://other.example/", 1, &["does not fit \"other.example\": Envoy answers 404"]);
}

#[test]
fn a_shared_name_that_is_passed_through() {
    let ask = |url: &str| axonctl(&["explain", "--node=node-a", url, "shared.yaml"]);
    let said = ask("https://db.shared.example/");
    assert_eq!(said.code, 0, "{said:?}");
    for wanted in ["filter chain passthrough:db.shared.example", "shop:db:443:tcp", "10.0.0.7:8443"] {
        assert!(said.out.contains(wanted), "{wanted:?} is not in {}", said.out);
    }
    let said = ask("http://db.shared.example/");
    assert!(said.out.contains("https"), "{said:?}");
}

#[test]
fn a_service_that_is_not_there() {
    story("no-service", 1, "nowhere.shop.svc.cluster.local", &[]);
}

#[test]
fn json_has_the_same_facts() {
    let said = axonctl(&["explain", "-o", "json", "--node", "node-a", "http://web.shop.svc/", "mesh"]);
    golden("explain-json", &said.whole());
}

#[test]
fn wrong_questions_are_failures() {
    let code = |args: &[&str]| axonctl(&[&["explain"], args].concat()).code;
    assert_eq!(code(&["a.b.c.d", "mesh"]), 2);
    assert_eq!(code(&["shop/web", "-H", "a: b", "mesh"]), 2);
    assert_eq!(code(&["shop/web", "--pod=shop/nobody", "mesh"]), 2);
    assert_eq!(code(&["shop/web", "--pod=shop/client", "--node=a", "mesh"]), 2);
    assert_eq!(code(&["shop/web", "--context=x", "mesh"]), 2);
    // Without files it looks for a cluster, and the kubeconfig of this test is none.
    let no_cluster = axonctl(&["explain", "shop/web"]);
    assert_eq!(no_cluster.code, 2);
    assert!(no_cluster.errors.contains("cannot find the cluster"), "{no_cluster:?}");
}
