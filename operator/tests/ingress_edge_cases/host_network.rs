//! 20: Ingresses at ports of the nodes.

use axoneme_envoy::ResourceKind;
use axoneme_operator::model::{HostNetwork, IngressDefaults};
use axoneme_operator::source::Selector;
use axoneme_operator::{Kind, Name};
use serde_json::Value;

use crate::world::{World, ingress, rule};

const PORT: &str = "ingress.cilium.io/host-listener-port";

fn defaults() -> IngressDefaults {
    let host_network = Some(HostNetwork { nodes: None, proxy_ports: 10_000..=20_000, shared_port: 8080 });
    IngressDefaults { host_network, ..IngressDefaults::default() }
}

fn named(name: &str, created: &str, annotations: &str) -> String {
    let metadata = format!("name: {name}, creationTimestamp: {created:?},");
    ingress(annotations, &format!("rules: [{}]", rule("a.example"))).replacen("name: web,", &metadata, 1)
}

fn world(annotations: &str) -> World {
    World::with(defaults(), &named("web", "2026-01-01T00:00:00Z", annotations))
}

/// The addresses that listeners are bound to, of all listeners that a node gets.
fn addresses(world: &World) -> Vec<(String, Vec<String>)> {
    let address = |it: &Value| {
        let socket = &it["socket_address"];
        format!("{} {}", socket["address"].as_str().unwrap_or_default(), socket["port_value"])
    };
    let bound = |(name, json): (String, Value)| {
        let more = json["additional_addresses"].as_array().into_iter().flatten().map(|it| address(&it["address"]));
        (name, std::iter::once(address(&json["address"])).chain(more).collect())
    };
    world.resources(ResourceKind::Listener).into_iter().map(bound).collect()
}

fn at(port: u16) -> Vec<(String, Vec<String>)> {
    vec![(format!("host-port:{port}"), vec![format!("0.0.0.0 {port}"), format!(":: {port}")])]
}

#[test]
fn edge_20_a_port_of_both_families_and_no_redirect() {
    let world = world(&format!("{PORT}: '443'"));
    assert_eq!(addresses(&world), at(443));
    assert_eq!(world.problems(), Vec::<String>::new());
    let report = &world.engine.reports()[0];
    assert_eq!((report.redirects.len(), &report.host_ports[..]), (0, &[443][..]));
}

#[test]
fn edge_20_a_port_that_is_none_is_the_default_one_and_is_told() {
    for (annotation, said) in [
        (String::new(), "Warning Invalid metadata.annotations: without host-listener-port"),
        (
            format!("{PORT}: '0'"),
            "Warning Invalid metadata.annotations[\"ingress.cilium.io/host-listener-port\"]: \"0\" is not a port",
        ),
        (format!("{PORT}: http"), "\"http\" is not a port; the default holds"),
        (format!("{PORT}: '65536'"), "\"65536\" is not a port"),
        (format!("{PORT}: '-1'"), "\"-1\" is not a port"),
    ] {
        let world = world(&annotation);
        assert_eq!(addresses(&world), at(8080), "{annotation}");
        let problems = world.problems();
        assert!(problems.len() == 1 && problems[0].contains(said), "{annotation}: {problems:?}");
    }
}

#[test]
fn edge_20_ports_of_the_proxy_itself_are_refused() {
    for port in [10_000, 15_000, 20_000] {
        let world = world(&format!("{PORT}: '{port}'"));
        assert_eq!(addresses(&world), [], "{port}");
        assert_eq!(world.engine.intents().view("node").iter().count(), 0, "nothing that nobody can reach");
        let problems = world.problems();
        assert!(problems.len() == 1 && problems[0].starts_with("Error Conflict metadata.annotations["), "{problems:?}");
    }
    for port in [9_999, 20_001] {
        assert_eq!(addresses(&world(&format!("{PORT}: '{port}'"))), at(port));
    }
    let node_port = world(&format!("{PORT}: '30080'"));
    assert_eq!(addresses(&node_port), at(30_080));
    assert!(node_port.problems()[0].contains("as a node port"), "{:?}", node_port.problems());
}

#[test]
fn edge_20_of_two_that_want_a_port_the_oldest_has_it_and_the_other_is_told() {
    let port = format!("{PORT}: '8443'");
    let texts = [named("late", "2026-01-02T00:00:00Z", &port), named("early", "2026-01-01T00:00:00Z", &port)];
    let mut world = World::with(defaults(), &texts.concat());
    let routes = |world: &World| {
        let json = world.resources(ResourceKind::Listener).remove(0).1;
        let manager = &json["filter_chains"][0]["filters"][0]["typed_config"];
        manager["rds"]["route_config_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(addresses(&world), at(8443));
    assert!(routes(&world).starts_with("shop/cilium-ingress-shop-early/"));
    assert_eq!(
        world.problems(),
        [
            "Error Conflict metadata.annotations: Ingress shop/early is older and has port 8443 of the nodes; give this Ingress \
          another one with the annotation host-listener-port"
        ]
    );
    world.delete(Kind::Ingress, "early");
    assert_eq!(addresses(&world), at(8443));
    assert!(routes(&world).starts_with("shop/cilium-ingress-shop-late/"));
    assert_eq!(world.problems(), Vec::<String>::new());
    // Another port is another listener: the old one goes, whoever has the new one first.
    world.apply(&named("late", "2026-01-02T00:00:00Z", &format!("{PORT}: '8444'")));
    assert_eq!(addresses(&world), at(8444));
}

#[test]
fn edge_20_nodes_are_chosen_by_their_labels() {
    let nodes = Some(Selector { labels: [("edge".to_owned(), "yes".to_owned())].into(), ..Selector::default() });
    let host_network = Some(HostNetwork { nodes, proxy_ports: 10_000..=20_000, shared_port: 8080 });
    let defaults = IngressDefaults { host_network, ..IngressDefaults::default() };
    let node =
        |labels: &str| format!("\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: node, labels: {{{labels}}}}}\n");
    let text = [named("web", "2026-01-01T00:00:00Z", &format!("{PORT}: '80'")), node("edge: 'no'")].concat();
    let mut world = World::with(defaults, &text);
    let count = |world: &World| world.engine.intents().view("node").iter().count();
    assert_eq!(count(&world), 0);
    world.apply(&node("edge: 'yes'"));
    assert_eq!(addresses(&world), at(80));
    world.apply(&node(""));
    assert_eq!(count(&world), 0);
}

#[test]
fn edge_20_the_service_is_a_cluster_ip_that_refuses() {
    let annotations =
        format!("{PORT}: '80', ingress.cilium.io/service-type: NodePort, ingress.cilium.io/loadbalancer-class: x");
    let world = world(&annotations);
    let own = Name::new("shop", "cilium-ingress-web");
    let service = world.engine.index().service(&own).unwrap();
    assert_eq!(service.type_, axoneme_operator::source::ServiceType::ClusterIp);
    assert!(
        world.engine.index().slice(&own).is_none(),
        "an endpoint that nobody answers at would leave clients hanging"
    );
    assert!(
        world.engine.outstanding_writes().iter().all(|it| matches!(it, axoneme_operator::Write::IngressStatus { .. }))
    );
    let told = world.problems();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|it| it.ends_with("has no effect in host network mode")), "{told:?}");
}

#[test]
fn edge_20_what_is_applied_is_what_the_api_server_takes() {
    use axoneme_operator::{Engine, Write, local::Local};

    let mut engine = Engine::new().with_defaults(defaults());
    let mut local = Local::new(crate::support::pools());
    let folder = crate::support::text(&named("web", "2026-01-01T00:00:00Z", &format!("{PORT}: '80'")));
    let mut written = Vec::new();
    for event in folder.resets() {
        written.extend(engine.apply(local.complete(event)).writes);
    }
    let specs = written.into_iter().filter_map(|write| match write {
        Write::Service(service) => service.to_object().spec,
        _ => None,
    });
    let [spec] = &specs.collect::<Vec<_>>()[..] else { panic!("one Service") };
    // The API server refuses a policy for what is not reached from outside.
    assert_eq!((spec.type_.as_deref(), spec.external_traffic_policy.as_deref()), (Some("ClusterIP"), None));
}

#[test]
fn edge_20_without_the_mode_the_annotation_has_no_effect() {
    let world = World::new(&named("web", "2026-01-01T00:00:00Z", &format!("{PORT}: '8080'")));
    let problems = world.problems();
    assert!(problems.len() == 1 && problems[0].ends_with("has an effect in host network mode only"), "{problems:?}");
    let listeners = world.resources(ResourceKind::Listener);
    assert!(listeners.len() == 1 && listeners[0].1["address"].is_null(), "{listeners:?}");
}

#[test]
fn edge_20_what_a_node_cannot_bind_is_told() {
    use axoneme_xds::{Outcome, View as _, type_urls};

    let mut world = world(&format!("{PORT}: '80'"));
    world.engine.node_connected("node");
    let told = |world: &mut World, refusal: Option<&str>| {
        let listener = world.engine.intents().view("node").get(type_urls::LISTENER, "host-port:80").unwrap();
        let (type_url, name) = listener.key();
        let version = Some(listener.version);
        let outcome = match refusal {
            Some(message) => Outcome::Nacked { type_url, name, version, message: message.to_owned() },
            None => Outcome::Acked { type_url, name, version },
        };
        let owners = world.engine.node_answered("node", &outcome);
        let changes = world.engine.settle_refusals(owners);
        let of = |it: Vec<axoneme_operator::Problem>| it.into_iter().map(|it| it.message).collect::<Vec<_>>();
        changes.problems.into_values().map(|change| (of(change.added), of(change.cleared))).next().unwrap_or_default()
    };
    let said = "node node refuses host-port:80: cannot bind '0.0.0.0:80': Address already in use";
    let refusal = Some("cannot bind '0.0.0.0:80': Address already in use");
    assert_eq!(told(&mut world, None), (vec![], vec![]));
    assert_eq!(told(&mut world, refusal), (vec![said.to_owned()], vec![]));
    assert_eq!(told(&mut world, refusal), (vec![], vec![]), "told once");
    assert_eq!(told(&mut world, None), (vec![], vec![said.to_owned()]));
    // A node that is gone for good refuses nothing.
    told(&mut world, refusal);
    world.engine.node_gone("node");
    let changes = world.engine.forget_node("node");
    assert_eq!(changes.problems.into_values().map(|change| change.cleared.len()).sum::<usize>(), 1);
    // Nor does another version.
    world.engine.node_connected("node");
    told(&mut world, refusal);
    world.apply(&named("web", "2026-01-01T00:00:00Z", &format!("{PORT}: '81'")));
    assert_eq!(world.problems(), Vec::<String>::new());
}

fn shared(name: &str) -> String {
    named(name, "2026-01-01T00:00:00Z", "ingress.cilium.io/loadbalancer-mode: shared")
}

#[test]
fn edge_20_all_of_shared_mode_have_one_port() {
    let node = |name: &str, labels: &str| {
        let status = "status: {addresses: [{type: InternalIP, address: 192.0.2.7}], conditions: [{type: Ready, status: 'True'}]}";
        format!("\n---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n{status}\n")
    };
    let nodes = Some(Selector { labels: [("edge".to_owned(), "yes".to_owned())].into(), ..Selector::default() });
    let host_network = Some(HostNetwork { nodes, proxy_ports: 10_000..=20_000, shared_port: 8888 });
    let defaults = IngressDefaults { host_network, ..IngressDefaults::default() };
    let late = named("late", "2026-01-02T00:00:00Z", &format!("{PORT}: '8888'"));
    let texts = [shared("one"), shared("two"), node("node", "edge: 'yes'"), node("other", "")];
    let mut world = World::with(defaults, &texts.concat());
    assert_eq!(addresses(&world), at(8888));
    assert_eq!(world.engine.intents().view("other").iter().count(), 0);
    // Of the same host and path, which has nothing to do with ports.
    assert!(world.problems().iter().all(|it| it.contains("RouteConflict")), "{:?}", world.problems());
    let service = world.engine.index().service(&Name::new("axoneme", "cilium-ingress")).unwrap();
    assert_eq!(service.type_, axoneme_operator::source::ServiceType::ClusterIp);
    assert!(world.engine.index().slice(&Name::new("axoneme", "cilium-ingress")).is_none());
    assert!(world.engine.index().service(&Name::new("shop", "cilium-ingress-one")).is_none());
    // With the module there is another form of the listener, at the same port.
    world.engine.node_opens("node", true);
    assert_eq!(addresses(&world), at(8888));

    world.apply(&late);
    assert_eq!(addresses(&world), at(8888));
    let told = world.problems().into_iter().filter(|it| !it.contains("RouteConflict")).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "Error Conflict metadata.annotations: shared mode has port 8888 of the nodes; give this Ingress another one with the \
          annotation host-listener-port"
        ]
    );
    world.engine.expect_nodes(["node".into(), "other".into()].into());
    let status = |write: axoneme_operator::Write| match write {
        axoneme_operator::Write::IngressStatus { addresses, .. } => addresses.first().and_then(|it| it.ip.clone()),
        _ => None,
    };
    let told: Vec<_> = world.engine.outstanding_writes().into_iter().map(status).collect();
    assert_eq!(told, vec![Some("192.0.2.7".to_owned()); 3]);
}
