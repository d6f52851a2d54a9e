//! 14 and 15: one address for all Ingresses of shared mode, who is heard at it, and how an Ingress moves.

use axoneme_envoy::ResourceKind;
use axoneme_operator::{Kind, Name, ObjectKey, SourceEvent};
use axoneme_xds::{Outcome, View as _};
use serde_json::Value;

use crate::world::{World, changed};

const SHARED: &str = "ingress.cilium.io/loadbalancer-mode: shared";

/// An Ingress with one rule: its path leads to Service `web` of its namespace.
fn ingress(name: &str, day: u32, annotations: &str, host: &str, path: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let backend = "backend: {service: {name: web, port: {number: 80}}}";
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: {namespace}, \
         creationTimestamp: \"2026-01-{day:02}T00:00:00Z\", annotations: {{{annotations}}}}}\nspec: {{ingressClassName: \
         cilium, rules: [{{host: {host:?}, http: {{paths: [{{path: {path}, pathType: Prefix, {backend}}}]}}}}]}}\n"
    )
}

fn service(namespace: &str) -> String {
    format!(
        "\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec: {{ports: [{{port: 80}}]}}\n"
    )
}

fn world(ingresses: &[String]) -> World {
    World::new(&[ingresses.concat(), service("other")].concat())
}

/// Path and cluster of the routes of a host, gRPC's aside.
fn served(world: &World, host: &str) -> Vec<String> {
    let words = |route: &Value| {
        let path = ["prefix", "path_separated_prefix"].into_iter().find_map(|kind| route["match"][kind].as_str())?;
        let cluster = route["route"]["cluster"].as_str().map(|name| name.rsplit('/').next().unwrap_or_default());
        let status = || route["direct_response"]["status"].to_string();
        (!cluster.is_some_and(|name| name.ends_with(":h2")))
            .then(|| format!("{path} {}", cluster.map_or_else(status, str::to_owned)))
    };
    world.routes("/routes", host).iter().filter_map(words).collect()
}

fn shared_service() -> Name {
    Name::new("axoneme", "cilium-ingress")
}

fn address(world: &World, service: &Name) -> Option<String> {
    let service = world.engine.index().service(service)?;
    service.load_balancer.first().map(ToString::to_string)
}

fn shown(world: &World, namespace: &str, name: &str) -> Vec<String> {
    let ingress = world.engine.index().ingress(&Name::new(namespace, name)).unwrap();
    ingress.load_balancer.iter().map(ToString::to_string).collect()
}

#[test]
fn edge_14_all_ingresses_of_shared_mode_have_one_service_and_its_address() {
    let world = world(&[
        ingress("shop/web", 1, SHARED, "a.example", "/"),
        ingress("other/web", 2, SHARED, "b.example", "/"),
        ingress("shop/own", 3, "", "c.example", "/"),
    ]);
    assert_eq!(world.problems(), Vec::<String>::new());
    let address = address(&world, &shared_service()).unwrap();
    assert!(shown(&world, "shop", "web").contains(&address) && shown(&world, "other", "web").contains(&address));
    assert!(!shown(&world, "shop", "own").contains(&address));
    assert!(world.engine.index().slice(&shared_service()).is_some());
    assert!(world.engine.index().service(&Name::new("shop", "cilium-ingress-web")).is_none());
    let listeners = world.resources(ResourceKind::Listener);
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0].0, "axoneme/cilium-ingress/listener");
    assert_eq!(served(&world, "a.example"), ["/ shop:web:80"]);
    assert_eq!(served(&world, "b.example"), ["/ other:web:80"]);
}

#[test]
fn edge_15_the_same_host_in_two_ingresses_is_one_host() {
    let world = world(&[
        ingress("shop/web", 2, SHARED, "A.example", "/"),
        ingress("other/web", 1, SHARED, "a.example", "/api"),
    ]);
    assert_eq!(served(&world, "a.example"), ["/api other:web:80", "/ shop:web:80"]);
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn edge_15_the_same_host_and_path_is_the_oldests_until_it_goes() {
    let old = ingress("shop/old", 1, SHARED, "a.example", "/");
    let mut world = world(&[ingress("other/web", 2, SHARED, "a.example", "/"), old.clone()]);
    assert_eq!(served(&world, "a.example"), ["/ shop:web:80"]);
    let told = "Error RouteConflict spec.rules[0].http.paths[0]: Ingress shop/old is older and has paths from / of host \
                a.example in shared mode; requests go there as long as it has";
    assert_eq!(world.problems(), [told]);

    let changes = world.delete(Kind::Ingress, "old");
    assert_eq!(served(&world, "a.example"), ["/ other:web:80"]);
    assert_eq!(world.problems(), Vec::<String>::new());
    assert_eq!(
        changed(&changes),
        ["Cluster shop:web:80", "Cluster shop:web:80:h2", "ClusterLoadAssignment web:80", "RouteConfiguration routes"]
    );
    world.apply(&old);
    assert_eq!(world.problems(), [told]);
}

#[test]
fn edge_14_the_shared_service_is_healed_and_stays_when_the_last_ingress_goes() {
    let mut world = world(&[ingress("shop/web", 1, SHARED, "a.example", "/")]);
    let before = address(&world, &shared_service()).unwrap();
    // Deleted by hand.
    let name = shared_service();
    for kind in [Kind::Service, Kind::EndpointSlice] {
        world.drive(SourceEvent::Delete(ObjectKey { kind, name: name.clone() }));
    }
    assert_eq!(address(&world, &name), Some(before.clone()));
    assert!(world.engine.index().slice(&name).is_some());
    // Edited by hand.
    let mut edited = world.engine.index().service(&name).unwrap().clone();
    edited.ports.pop();
    world.drive(SourceEvent::Apply(axoneme_operator::Object::Service(edited)));
    assert_eq!(world.engine.index().service(&name).unwrap().ports.len(), 2);

    world.delete(Kind::Ingress, "web");
    assert_eq!(address(&world, &name), Some(before), "it is in people's DNS");
    assert_eq!(world.engine.intents().view("node").iter().count(), 0, "and nothing is served there");
    // Nobody needs it any more, so it is not made anew.
    world.drive(SourceEvent::Delete(ObjectKey { kind: Kind::Service, name: name.clone() }));
    assert_eq!(address(&world, &name), None);
}

#[test]
fn edge_14_from_an_address_of_its_own_to_the_shared_one_and_back() {
    let of_own = ingress("shop/web", 1, "", "a.example", "/");
    let mut world = world(std::slice::from_ref(&of_own));
    let own = Name::new("shop", "cilium-ingress-web");
    let first = address(&world, &own).unwrap();
    world.apply(&ingress("shop/web", 1, SHARED, "a.example", "/"));
    assert!(world.engine.index().service(&own).is_none(), "the old one goes when the new one is shown");
    let shared = address(&world, &shared_service()).unwrap();
    assert!(shown(&world, "shop", "web").contains(&shared));
    assert_eq!(world.resources(ResourceKind::Listener).len(), 1);
    assert_eq!(served(&world, "a.example"), ["/ shop:web:80"]);

    world.apply(&of_own);
    assert!(shown(&world, "shop", "web").contains(&first));
    let listeners = world.resources(ResourceKind::Listener);
    assert_eq!(listeners.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["shop/cilium-ingress-shop-web/listener"]);
}

#[test]
fn edge_14_while_an_ingress_moves_both_addresses_answer() {
    let mut world = world(&[ingress("shop/web", 1, "", "a.example", "/")]);
    let own = Name::new("shop", "cilium-ingress-web");
    // Nobody gives the shared Service an address, nor shows it.
    let changes = world.apply_alone(&ingress("shop/web", 1, SHARED, "a.example", "/"));
    assert_eq!(world.resources(ResourceKind::Listener).len(), 2);
    assert!(address(&world, &own).is_some());
    let wants = |target: &axoneme_operator::Target| changes.writes.iter().any(|write| write.target() == *target);
    assert!(wants(&axoneme_operator::Target::Service(shared_service())), "{:?}", changes.writes);
    assert!(!wants(&axoneme_operator::Target::Service(own)), "{:?}", changes.writes);
    assert!(!wants(&axoneme_operator::Target::IngressStatus(Name::new("shop", "web"))), "{:?}", changes.writes);
}

#[test]
fn edge_14_what_an_ingress_cannot_ask_of_an_address_that_is_not_its_own() {
    for option in ["service-type: NodePort", "escaped-slashes: keep", "proxy-protocol: enabled"] {
        let annotations = format!("{SHARED}, ingress.cilium.io/{option}");
        let world = world(&[ingress("shop/web", 1, &annotations, "a.example", "/")]);
        let (key, _) = option.split_once(':').unwrap();
        let said = format!(
            "Warning Unsupported metadata.annotations[\"ingress.cilium.io/{key}\"]: has no effect in shared mode"
        );
        let problems = world.problems();
        assert!(problems.len() == 1 && problems[0].starts_with(&said), "{problems:?}");
    }
}

#[test]
fn edge_15_an_expression_that_envoy_would_refuse_harms_nobody_else() {
    let annotations = format!("{SHARED}, ingress.axoneme.io/path-type: regex");
    let wrong = ingress("shop/wrong", 1, &annotations, "a.example", "/(").replace("Prefix", "ImplementationSpecific");
    let world = world(&[wrong.replace("path: /(", "path: \"/(\""), ingress("other/web", 2, SHARED, "a.example", "/")]);
    assert_eq!(served(&world, "a.example"), ["/ other:web:80"]);
    let problems = world.problems();
    assert!(problems[0].starts_with("Error Invalid spec.rules[0].http.paths[0].path: "), "{problems:?}");
}

#[test]
fn edge_15_an_edit_changes_the_hosts_of_its_ingress_only() {
    let mut world =
        world(&[ingress("shop/web", 1, SHARED, "a.example", "/"), ingress("other/web", 2, SHARED, "b.example", "/")]);
    let changes = world.apply(&ingress("shop/web", 1, SHARED, "a.example", "/new"));
    assert_eq!(changed(&changes), ["RouteConfiguration routes"]);
    assert_eq!(served(&world, "a.example"), ["/new shop:web:80", "/ 404"]);
    assert_eq!(served(&world, "b.example"), ["/ other:web:80"]);
}

#[test]
fn edge_15_a_table_that_a_node_refuses_is_told_to_all_who_have_hosts_in_it() {
    let mut world =
        world(&[ingress("shop/web", 1, SHARED, "a.example", "/"), ingress("other/web", 2, SHARED, "b.example", "/")]);
    let told = |world: &mut World, refused: bool| {
        let (url, name) = (ResourceKind::Route.type_url(), "axoneme/cilium-ingress/routes");
        let table = world.engine.intents().view("node").get(url, name).unwrap();
        let (type_url, name, version) = (table.type_url.clone(), table.name.clone(), Some(table.version));
        let outcome = if refused {
            Outcome::Nacked { type_url, name, version, message: "Envoy's words".to_owned() }
        } else {
            Outcome::Acked { type_url, name, version }
        };
        let concerned = world.engine.node_answered("node", &outcome);
        world.engine.settle_refusals(concerned);
        world.problems()
    };
    let done = |world: &World| {
        let reports = world.engine.reports();
        reports.iter().map(|it| (it.programmed.done, it.redirects.len())).collect::<Vec<_>>()
    };
    world.engine.node_connected("node");
    assert_eq!(done(&world), [(0, 2), (0, 2)]);
    assert_eq!(told(&mut world, false), Vec::<String>::new());
    assert_eq!(done(&world), [(1, 2), (1, 2)], "both at the address of all, and both run");
    let said = "Error Invalid node node refuses axoneme/cilium-ingress/routes: Envoy's words";
    assert_eq!(told(&mut world, true), [said, said]);
    // Somebody made an edit that Envoy takes.
    world.apply(&ingress("shop/web", 1, SHARED, "a.example", "/new"));
    assert_eq!(told(&mut world, false), Vec::<String>::new());
}

#[test]
fn edge_15_a_node_that_came_back_keeps_its_tables_when_what_it_said_before_is_forgotten() {
    let mut world = world(&[ingress("shop/web", 1, SHARED, "a.example", "/")]);
    let seen = |world: &World| {
        let view = world.engine.intents().view("node");
        view.iter().map(|it| format!("{} {}", it.type_url, it.name)).collect::<Vec<_>>()
    };
    world.engine.node_opens("node", true);
    world.engine.node_connected("node");
    let before = seen(&world);
    assert!(before.iter().any(|it| it.contains("/shard-")), "{before:?}");
    // The old stream may end after the new one announced itself.
    world.engine.node_opens("node", true);
    world.engine.node_gone("node");
    world.engine.node_connected("node");
    world.engine.forget_node("node");
    world.apply(&ingress("shop/web", 1, SHARED, "a.example", "/new"));
    assert_eq!(seen(&world), before);
    // One that stayed away has said nothing of its Envoy.
    world.engine.node_gone("node");
    world.engine.forget_node("node");
    assert_eq!(world.engine.nodes_without_module(), 0);
}

#[test]
fn edge_15_who_serves_no_node_makes_no_tables() {
    let mut world = world(&[]);
    world.engine = std::mem::take(&mut world.engine).for_nodes();
    world.apply(&ingress("shop/web", 1, SHARED, "a.example", "/"));
    let tables = |world: &World| {
        let view = world.engine.intents().view("node");
        let tables = view.iter().filter(|it| it.type_url.ends_with(".RouteConfiguration"));
        tables.map(|it| it.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tables(&world), Vec::<String>::new());
    world.engine.node_opens("node", false);
    assert_eq!(tables(&world), ["axoneme/cilium-ingress/routes"]);
}
