//! 14 in shared mode: `load-balancer-source-ranges` of one Ingress hold for what it serves at the address of all.

use serde_json::{Value, json};

use crate::world::World;

/// A shared Ingress of namespace `shop` with one host and path: name, day of birth, more annotations.
fn ingress(name: &str, day: u32, annotations: &str, host: &str, path: &str) -> String {
    let backend = "backend: {service: {name: web, port: {number: 80}}}";
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: \
         \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: shared{annotations}}}}}\nspec: \
         {{ingressClassName: cilium, rules: [{{host: '{host}', http: {{paths: [{{path: {path}, pathType: Prefix, \
         {backend}}}]}}}}]}}\n"
    )
}

/// What a route's `RBACPerRoute` says.
fn rules(route: &Value) -> &Value {
    &route["typed_per_filter_config"]["envoy.filters.http.rbac"]["rbac"]["rules"]
}

fn paths_with_rules(world: &World, host: &str) -> Vec<(String, bool)> {
    let path = |route: &Value| {
        let found = ["prefix", "path_separated_prefix"].into_iter().find_map(|kind| route["match"][kind].as_str());
        (found.unwrap().to_owned(), !rules(route).is_null())
    };
    let mut all: Vec<_> = world.routes("/routes", host).iter().map(path).collect();
    all.dedup();
    all
}

#[test]
fn edge_14_ranges_hold_for_the_paths_of_their_ingress() {
    let ranges = ", ingress.axoneme.io/load-balancer-source-ranges: '192.0.2.0/24,2001:db8::/32'";
    let text = [ingress("open", 1, "", "a.example", "/open"), ingress("closed", 2, ranges, "a.example", "/closed")];
    let world = World::new(&text.concat());
    assert_eq!(world.problems(), Vec::<String>::new());
    let wanted = [("/closed", true), ("/open", false), ("/", false)];
    assert_eq!(paths_with_rules(&world, "a.example"), wanted.map(|(path, has)| (path.to_owned(), has)));
    let routes = world.routes("/routes", "a.example");
    let policy = &rules(&routes[0])["policies"]["sources"];
    let range = |address: &str, bits: u32| json!({ "remote_ip": { "address_prefix": address, "prefix_len": bits } });
    assert_eq!(policy["principals"], json!([range("192.0.2.0", 24), range("2001:db8::", 32)]));
    // Somebody has to look at it.
    for chain in world.chains() {
        let filters = chain["filters"][0]["typed_config"]["http_filters"].as_array().unwrap().clone();
        assert_eq!(filters[0]["name"], "envoy.filters.http.rbac");
    }
}

#[test]
fn edge_14_what_is_no_range_lets_nobody_in() {
    let world =
        World::new(&ingress("web", 1, ", ingress.axoneme.io/load-balancer-source-ranges: here", "a.example", "/"));
    let routes = world.routes("/routes", "a.example");
    assert!(routes.iter().all(|route| rules(route)["action"] == "ALLOW" || rules(route) == &json!({})), "{routes:#?}");
    assert!(routes.iter().all(|route| !rules(route).is_null() && rules(route)["policies"].is_null()), "{routes:#?}");
    assert!(world.problems()[0].contains("it lets nobody in"), "{:?}", world.problems());
}

#[test]
fn edge_14_ranges_hold_for_a_name_that_is_passed_through() {
    let annotations =
        ", ingress.cilium.io/tls-passthrough: enabled, ingress.axoneme.io/load-balancer-source-ranges: 192.0.2.0/24";
    let world = World::new(&ingress("db", 1, annotations, "a.example", "/"));
    let chain = world.chains().into_iter().find(|it| it["name"] == "passthrough:a.example").unwrap();
    assert_eq!(chain["filters"][0]["name"], "envoy.filters.network.rbac");
    assert_eq!(world.problems(), Vec::<String>::new());
}
