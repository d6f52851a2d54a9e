//! 19 in shared mode: names that are passed through, beside those of other Ingresses at the same address.

use axoneme_envoy::ResourceKind;
use axoneme_operator::Kind;
use serde_json::Value;

use crate::world::{World, changed, secret};

const PASSED: &str = ", ingress.cilium.io/tls-passthrough: enabled";

/// A shared Ingress of namespace `shop` with one host: name, day of birth, more annotations, host, path, and more of its spec.
fn ingress(name: &str, day: u32, annotations: &str, host: &str, path: &str, more: &str) -> String {
    let backend = "backend: {service: {name: web, port: {number: 80}}}";
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: \
         \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: shared{annotations}}}}}\nspec: \
         {{ingressClassName: cilium, {more}rules: [{{host: '{host}', http: {{paths: [{{path: {path}, pathType: Prefix, \
         {backend}}}]}}}}]}}\n"
    )
}

fn passed(name: &str, day: u32, host: &str) -> String {
    ingress(name, day, PASSED, host, "/", "")
}

/// An Ingress with a host and its certificate, in a Secret of its own name.
fn ended(name: &str, day: u32, host: &str) -> String {
    let tls = format!("tls: [{{hosts: ['{host}'], secretName: {name}}}], ");
    [ingress(name, day, "", host, "/", &tls), secret("shop", name)].concat()
}

fn names(world: &World) -> Vec<String> {
    world.chains().iter().filter_map(|chain| chain["name"].as_str().map(str::to_owned)).collect()
}

/// Where the connections of a name go: a cluster, or nowhere.
fn target(world: &World, host: &str) -> Option<String> {
    let chains = world.chains();
    let chain = chains.iter().find(|chain| chain["name"] == format!("passthrough:{host}").as_str()).unwrap();
    assert!(chain["transport_socket"].is_null(), "{chain:#}");
    let last = &chain["filters"].as_array().unwrap().last().unwrap()["typed_config"];
    last["cluster"].as_str().map(str::to_owned)
}

fn clusters(world: &World) -> Vec<String> {
    world.resources(ResourceKind::Cluster).into_iter().map(|(name, _)| name).collect()
}

fn statuses(world: &World, host: &str) -> Vec<u64> {
    let routes = world.routes("/routes", host);
    routes.iter().filter_map(|route| route["direct_response"]["status"].as_u64()).collect()
}

#[test]
fn edge_19_names_are_passed_through_beside_those_that_others_serve() {
    for has_module in [false, true] {
        let text = [ended("own", 1, "own.example"), passed("db", 2, "db.example"), passed("wild", 3, "*.wild.example")];
        let mut world = World::new(&text.concat());
        world.engine.node_opens("node", has_module);
        assert_eq!(world.problems(), Vec::<String>::new());
        assert_eq!(names(&world), ["plain", "passthrough:db.example", "tls:own.example", "passthrough:*.wild.example"]);
        let cluster = "axoneme/cilium-ingress/shop:web:80:tcp";
        assert_eq!(target(&world, "db.example").as_deref(), Some(cluster));
        assert!(clusters(&world).contains(&cluster.to_owned()), "{:?}", clusters(&world));
        // Chains of HTTP find their routes in the same way, with passthrough beside them or not.
        let managers =
            world.chains().into_iter().filter(|chain| chain["filters"][0]["name"] != "envoy.filters.network.tcp_proxy");
        let managers: Vec<Value> = managers.map(|chain| chain["filters"][0]["typed_config"].clone()).collect();
        assert!(managers.len() == 2 && managers.iter().all(|it| it["scoped_routes"].is_object() == has_module));
    }
}

#[test]
fn edge_19_requests_for_a_name_that_is_passed_through_are_nobodys() {
    let world = World::new(&passed("db", 1, "db.example"));
    // Plain ones go to https, or are for an authority's proof; those in TLS came on a connection for another name.
    assert!(world.routes("/routes", "db.example")[0]["redirect"]["https_redirect"] == true);
    assert_eq!(statuses(&world, "db.example"), [404, 421]);
}

#[test]
fn edge_19_of_two_that_want_a_name_the_oldest_has_it_until_it_goes() {
    let is_lost = |winner: &str| {
        format!(
            "Error RouteConflict spec.rules[0].http.paths[0]: Ingress shop/{winner} is older and has host a.example in shared mode, \
             where a host is either served or passed through to one backend; this has no effect as long as it has"
        )
    };
    // The older serves it.
    let mut world = World::new(&[ended("old", 1, "a.example"), passed("new", 2, "a.example")].concat());
    assert_eq!(names(&world), ["plain", "tls:a.example"]);
    assert_eq!(world.problems(), [is_lost("old")]);
    world.delete(Kind::Ingress, "old");
    assert_eq!(names(&world), ["plain", "passthrough:a.example"]);
    assert_eq!(world.problems(), Vec::<String>::new());

    // The older passes it through, and the younger has another path of it, and a certificate.
    let tls = "tls: [{hosts: [a.example], secretName: new}], ";
    let new = [ingress("new", 2, "", "a.example", "/mine", tls), secret("shop", "new")].concat();
    let mut world = World::new(&[passed("old", 1, "a.example"), new].concat());
    assert_eq!(names(&world), ["plain", "passthrough:a.example"]);
    assert_eq!(statuses(&world, "a.example"), [404, 421], "its plain requests, too, are the older one's");
    let certificate = "Warning Conflict spec.tls[0].hosts[0]: Ingress shop/old has a.example passed through in shared mode; \
                       clients that ask for that name see the certificate of its backend";
    assert_eq!(world.problems(), [is_lost("old"), certificate.to_owned()]);
    world.delete(Kind::Ingress, "old");
    assert_eq!(names(&world), ["plain", "tls:a.example"]);
    assert_eq!(world.problems(), Vec::<String>::new());

    // Both pass it through.
    let world = World::new(&[passed("new", 2, "a.example"), passed("old", 1, "a.example")].concat());
    assert_eq!(names(&world), ["plain", "passthrough:a.example"]);
    assert_eq!(world.problems(), [is_lost("old")]);
}

#[test]
fn edge_19_a_certificate_without_a_rule_is_no_claim() {
    let tls =
        "tls: [{hosts: [a.example], secretName: old}], defaultBackend: {service: {name: web, port: {number: 80}}}, ";
    let old = [ingress("old", 1, "", "b.example", "/", tls), secret("shop", "old")].concat();
    let world = World::new(&[old, passed("new", 2, "a.example")].concat());
    assert_eq!(names(&world), ["plain", "passthrough:a.example"]);
    let problems = world.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("Warning Conflict spec.tls[0].hosts[0]: Ingress shop/new"));
}

#[test]
fn edge_19_switching_it_on_and_off_touches_the_chain_of_that_name_only() {
    let served = ingress("a", 2, "", "a.example", "/", "");
    let mut world = World::new(&[ended("own", 1, "own.example"), served.clone()].concat());
    let before = world.chains();
    let changes = changed(&world.apply(&passed("a", 2, "a.example")));
    let with_it = world.chains();
    assert!(with_it.len() == before.len() + 1 && before.iter().all(|chain| with_it.contains(chain)));
    assert!(
        changes.contains(&"Listener listener".to_owned()) && changes.contains(&"Cluster shop:web:80:tcp".to_owned())
    );
    let changes = changed(&world.apply(&served));
    assert_eq!(world.chains(), before);
    assert!(changes.contains(&"Cluster shop:web:80:tcp".to_owned()), "{changes:?}");
    assert!(!clusters(&world).contains(&"axoneme/cilium-ingress/shop:web:80:tcp".to_owned()));
}

#[test]
fn edge_19_what_is_passed_on_moves_to_an_address_of_its_own_and_back() {
    let mut world = World::new(&[ended("own", 1, "own.example"), passed("db", 2, "db.example")].concat());
    world.apply(&passed("db", 2, "db.example").replace("loadbalancer-mode: shared", "loadbalancer-mode: dedicated"));
    let listeners = world.resources(ResourceKind::Listener);
    let shown: Vec<_> = listeners
        .iter()
        .map(|(name, json)| (name.as_str(), json["filter_chains"].as_array().unwrap().last().unwrap()["name"].clone()))
        .collect();
    let own = "shop/cilium-ingress-shop-db/listener";
    let shared = "axoneme/cilium-ingress/listener";
    assert_eq!(shown, [(shared, "tls:own.example".into()), (own, "passthrough:db.example".into())]);
    world.apply(&passed("db", 2, "db.example"));
    assert_eq!(names(&world), ["plain", "passthrough:db.example", "tls:own.example"]);
}

#[test]
fn edge_19_a_shared_target_that_is_not_there_closes_and_comes_back() {
    let wanted = passed("db", 1, "db.example").replace("name: web", "name: late");
    let mut world = World::new(&wanted);
    assert_eq!(target(&world, "db.example"), None);
    assert!(world.problems()[0].contains("connections are closed until it does"), "{:?}", world.problems());
    world.apply(
        "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: shop}\nspec: {ports: [{port: 80}]}\n",
    );
    assert_eq!(target(&world, "db.example").as_deref(), Some("axoneme/cilium-ingress/shop:late:80:tcp"));
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn edge_19_a_port_that_is_asked_and_passed_on_to_keeps_its_endpoints() {
    let assignments = |world: &World| world.resources(ResourceKind::Endpoints).len();
    let mut world =
        World::new(&[passed("db", 1, "db.example"), ingress("web", 2, "", "web.example", "/", "")].concat());
    assert_eq!(assignments(&world), 1);
    world.delete(Kind::Ingress, "db");
    assert_eq!(assignments(&world), 1, "it is asked still");
    world.apply(&passed("db", 1, "db.example"));
    world.delete(Kind::Ingress, "web");
    assert_eq!(assignments(&world), 1, "it is passed on to still");
    world.delete(Kind::Ingress, "db");
    assert_eq!(world.resources(ResourceKind::Endpoints).len(), 0);
}
