//! 19: names whose TLS the backend ends. The cases are those of Cilium's own tests of SSL passthrough, and what it leaves open.

use axoneme_envoy::ResourceKind;
use serde_json::Value;

use crate::world::{World, ingress, rule, secret};

const ENABLED: &str = "ingress.cilium.io/tls-passthrough: enabled";

fn world(annotations: &str, spec: &str) -> World {
    World::new(&[ingress(annotations, spec), secret("shop", "one")].concat())
}

/// The names that are passed through, each with the last part of the cluster that gets the bytes; empty when they are closed.
fn passed(world: &World) -> Vec<(String, String)> {
    let chains = world.chains();
    let mine = chains.iter().filter(|it| it["name"].as_str().is_some_and(|name| name.starts_with("passthrough:")));
    let pair = |chain: &Value| {
        assert_eq!(chain["filter_chain_match"]["transport_protocol"], "tls");
        assert!(chain["transport_socket"].is_null(), "{chain:#}");
        let last = chain["filters"].as_array().unwrap().last().unwrap()["typed_config"].clone();
        let cluster = last["cluster"].as_str().unwrap_or_default();
        let names = chain["filter_chain_match"]["server_names"].as_array().unwrap();
        (names[0].as_str().unwrap().to_owned(), cluster.rsplit('/').next().unwrap().to_owned())
    };
    mine.map(pair).collect()
}

fn to_web(host: &str) -> (String, String) {
    (host.to_owned(), "shop:web:80:tcp".to_owned())
}

fn path(path: &str) -> String {
    let backend = "{service: {name: web, port: {number: 80}}}";
    format!("{{path: {path:?}, pathType: Prefix, backend: {backend}}}")
}

fn paths(host: &str, paths: &[&str]) -> String {
    let paths: Vec<_> = paths.iter().map(|it| path(it)).collect();
    format!("{{host: {host:?}, http: {{paths: [{}]}}}}", paths.join(", "))
}

#[test]
fn edge_19_each_host_is_a_chain_that_passes_bytes_on() {
    for prefix in ["ingress.axoneme.io", "ingress.cilium.io", "io.cilium.ingress"] {
        let rules = format!("rules: [{}, {}]", rule("a.example"), rule("*.b.example"));
        let world = world(&format!("{prefix}/tls-passthrough: enabled"), &rules);
        assert_eq!(passed(&world), [to_web("a.example"), to_web("*.b.example")]);
        assert_eq!(world.problems(), Vec::<String>::new());
        let clusters = world.resources(ResourceKind::Cluster);
        let [(_, cluster)] = &clusters[..] else { panic!("{clusters:#?}") };
        assert!(cluster["typed_extension_protocol_options"].is_null(), "nothing of HTTP: {cluster:#}");
        // Plain requests are for nobody but for the way to https.
        let routes = world.routes("listener-insecure", "a.example");
        assert!(routes.len() == 1 && routes[0]["redirect"]["https_redirect"] == true, "{routes:#?}");
    }
    let not = world("ingress.cilium.io/tls-passthrough: 'false'", &format!("rules: [{}]", rule("a.example")));
    assert_eq!(passed(&not), []);
}

#[test]
fn edge_19_node_ports_change_the_service_only() {
    let annotations = format!(
        "{ENABLED}, ingress.cilium.io/service-type: NodePort, ingress.cilium.io/secure-node-port: '30443', \
         ingress.cilium.io/insecure-node-port: '30080'"
    );
    let world = world(&annotations, &format!("rules: [{}]", rule("a.example")));
    assert_eq!(passed(&world), [to_web("a.example")]);
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn edge_19_a_host_without_a_rule_passes_nothing() {
    let world = world(ENABLED, "rules: [{host: a.example}]");
    assert_eq!(passed(&world), []);
    let problems = world.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("Warning Unsupported spec.rules[0]: "), "{problems:?}");
}

#[test]
fn edge_19_of_several_paths_only_the_root_counts() {
    let of_paths = |all: &[&str]| world(ENABLED, &format!("rules: [{}]", paths("a.example", all)));
    let several = of_paths(&["/admin", "/", "/x"]);
    assert_eq!(passed(&several), [to_web("a.example")]);
    let ignored = |at: usize| {
        let field = format!("spec.rules[0].http.paths[{at}].path");
        format!(
            "Warning Unsupported {field}: with TLS passthrough only / can be served, as paths are inside of TLS; the path is ignored"
        )
    };
    assert_eq!(several.problems(), [ignored(0), ignored(2)]);
    let prefix = of_paths(&["/admin"]);
    assert_eq!((passed(&prefix), prefix.problems()), (vec![], vec![ignored(0)]));
    let twice = of_paths(&["/", ""]);
    assert_eq!(passed(&twice), [to_web("a.example")]);
    assert!(
        twice.problems()[0].starts_with("Warning Conflict spec.rules[0].http.paths[1]: "),
        "{:?}",
        twice.problems()
    );
}

#[test]
fn edge_19_without_a_host_there_is_no_name_to_go_by() {
    let rules = format!("rules: [{{http: {{paths: [{}]}}}}, {}]", path("/"), rule("a.example"));
    let world = world(ENABLED, &rules);
    assert_eq!(passed(&world), [to_web("a.example")]);
    let problems = world.problems();
    assert!(problems.len() == 1 && problems[0].contains("spec.rules[0]: TLS passthrough needs a host"), "{problems:?}");
}

#[test]
fn edge_19_a_default_backend_and_certificates_have_no_effect() {
    let spec = format!(
        "defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}, tls: [{{hosts: [a.example], secretName: one}}], \
         rules: [{}]",
        rule("a.example")
    );
    let world = world(ENABLED, &spec);
    assert_eq!(passed(&world), [to_web("a.example")]);
    assert_eq!(world.chains().len(), 2, "no certificate");
    let fields: Vec<_> = world.problems().iter().map(|it| it.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(fields, ["Warning Unsupported spec.tls[0]", "Warning Unsupported spec.defaultBackend"]);
}

#[test]
fn edge_19_beside_names_with_certificates_and_instead_of_one() {
    let rules = ["a.example", "b.example", "*.c.example"].map(rule).join(", ");
    let spec = format!("tls: [{{hosts: [a.example, b.example], secretName: one}}], rules: [{rules}]");
    let world = world("ingress.axoneme.io/tls-passthrough: 'B.example, *.c.example'", &spec);
    assert_eq!(passed(&world), [to_web("b.example"), to_web("*.c.example")]);
    let mut names: Vec<_> = world.chains().iter().filter_map(|it| it["name"].as_str().map(str::to_owned)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["passthrough:*.c.example", "passthrough:b.example", "plain", "tls:a.example"]);
    assert_eq!(
        world.problems(),
        ["Warning Conflict spec.tls[0].hosts[1]: b.example is passed through: its backend shows its own certificate"]
    );
    assert!(world.routes("listener-insecure", "a.example").iter().any(|it| !it["redirect"].is_null()));
}

#[test]
fn edge_19_a_list_names_hosts_that_are_there() {
    let rules = format!("rules: [{}]", rule("a.example"));
    let other = world("ingress.axoneme.io/tls-passthrough: b.example", &rules);
    assert_eq!(passed(&other), []);
    let problems = other.problems();
    assert!(problems[0].contains("tls-passthrough\"]: no rule is for b.example"), "{problems:?}");
    for garbage in ["maybe", "a.example,,", "a example.org", "-1x"] {
        let world = world(&format!("ingress.axoneme.io/tls-passthrough: {garbage:?}"), &rules);
        assert_eq!(passed(&world), [], "{garbage}");
        assert!(world.problems()[0].contains("is not enabled, disabled or a list of hosts"), "{:?}", world.problems());
    }
}

#[test]
fn edge_19_what_cannot_be_reached_is_closed_and_comes_back() {
    let rule = "{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 1}}}}]}}";
    let mut world = world(ENABLED, &format!("rules: [{rule}]"));
    assert_eq!(passed(&world), [("a.example".to_owned(), String::new())]);
    let problems = world.problems();
    assert!(
        problems[0].starts_with("Error ServiceNotFound spec.rules[0].http.paths[0].backend.service.name"),
        "{problems:?}"
    );
    assert!(problems[0].contains("connections are closed until it does"), "{problems:?}");
    // Its port speaks TLS, which is not our business.
    let service = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {ports: [{port: 1, appProtocol: \
                   https}]}\n";
    world.apply(service);
    assert_eq!(passed(&world), [("a.example".to_owned(), "shop:db:1:tcp".to_owned())]);
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn edge_19_ranges_hold_for_it_too() {
    let annotations = format!("{ENABLED}, ingress.axoneme.io/load-balancer-source-ranges: 192.0.2.0/24");
    let world = world(&annotations, &format!("rules: [{}]", rule("a.example")));
    let chain = world.chains().into_iter().find(|it| it["name"] == "passthrough:a.example").unwrap();
    assert_eq!(chain["filters"][0]["name"], "envoy.filters.network.rbac");
}

#[test]
fn edge_19_one_name_more_leaves_other_chains_alone() {
    let mut world = world(ENABLED, &format!("rules: [{}]", rule("a.example")));
    let before = world.chains();
    world.apply(&ingress(ENABLED, &format!("rules: [{}, {}]", rule("a.example"), rule("b.example"))));
    assert_eq!(world.chains()[..before.len()], before);
}
