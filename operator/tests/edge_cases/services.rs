//! Services and their backends as they come, change and go.

use axoneme_operator::Kind;

use crate::build::*;
use crate::world::*;

const ECHO: &str = "clusterIP: 10.96.0.7, ports: [{name: web, port: 80}]";
const WEB: &str = "{name: web, port: 8080}";

/// A config with an EDS cluster for each of these names.
fn wants(name: &str, clusters: &[&str]) -> String {
    let clusters: Vec<_> = clusters.iter().map(|name| cluster(&format!("{name:?}"))).collect();
    config("ns", name, &clusters)
}

fn none() -> Option<Vec<String>> {
    Some(Vec::new())
}

#[test]
fn edge_08_a_service_may_come_later_go_and_come_back() {
    let mut world = World::new(&proxy("ns", "x", "", "[{name: echo}]", "ns/echo:80"));
    let missing = "CiliumEnvoyConfig ns/x: spec.services[0].name: Service ns/echo does not exist";
    assert_told(&world.told(), &[missing]);
    assert_eq!(world.listener_of("ns/echo:80"), None);
    assert_eq!(world.backends("ns/echo:80"), none(), "an empty assignment, not none: 503 at once");

    world.apply(&slice("echo", 1, WEB, "{addresses: [10.0.0.1]}"));
    let changes = world.apply(&service("echo", ECHO));
    let both = ["ClusterLoadAssignment ns/echo:80", "Redirect ns/echo:80"].map(str::to_owned);
    assert_eq!(changed(&changes), both.clone().into());
    assert_told(&world.told(), &[]);
    let served = world.sent("node");
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/x/l");
    assert_eq!(world.backends("ns/echo:80").unwrap(), ["10.0.0.1:8080"]);

    let changes = world.delete(Kind::Service, "ns", "echo");
    assert_eq!(changed(&changes), both.clone().into());
    assert_told(&world.told(), &[missing]);
    assert_eq!(world.listener_of("ns/echo:80"), None);
    assert_eq!(world.backends("ns/echo:80"), none(), "nobody says any more which port 80 is");

    assert_eq!(changed(&world.apply(&service("echo", ECHO))), both.into());
    assert_eq!(world.sent("node"), served);
    assert_told(&world.told(), &[]);
}

#[test]
fn edge_08_a_headless_service_has_backends_and_nothing_to_redirect() {
    let text = proxy("ns", "x", "", "[{name: db}]", "ns/db:5432")
        + &service("db", "clusterIP: None, ports: [{name: sql, port: 5432}]")
        + &slice("db", 1, "{name: sql, port: 5432}", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}");
    let (world, told) = run(&text);
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.services[0].name: Service ns/db has no address of its own"]);
    assert_eq!(world.listener_of("ns/db:5432"), None);
    assert_eq!(world.backends("ns/db:5432").unwrap(), ["10.0.0.1:5432", "10.0.0.2:5432"]);
}

#[test]
fn edge_08_ports_are_meant_by_name_or_by_number() {
    let ports = "ports: [{name: web, port: 80}, {name: admin, port: 9000}]";
    let targets = "{name: web, port: 8080}, {name: admin, port: 9001}";
    let names = ["ns/echo:80", "ns/echo:web", "ns/echo:9000", "ns/echo:8080", "ns/echo:none", "ns/echo", "ns/echo:*"];
    let filters = "  backendServices: [{name: echo, number: [\"80\", web, \"8080\", none]}]\n";
    let text =
        wants("x", &names) + filters + &service("echo", ports) + &slice("echo", 1, targets, "{addresses: [10.0.0.1]}");
    let (world, told) = run(&text);
    // A number is one of the Service's, never a target's.
    let at = "CiliumEnvoyConfig ns/x: spec.backendServices[0].number";
    let unknown = |port: &str| format!("Service ns/echo has no TCP port \"{port}\"");
    assert_eq!(told.len(), 2, "{told:?}");
    for port in ["8080", "none"] {
        assert!(told.iter().any(|told| told.starts_with(at) && told.ends_with(&unknown(port))), "{told:?}");
    }
    for (name, expected) in [
        ("ns/echo:80", &["10.0.0.1:8080"][..]),
        ("ns/echo:web", &["10.0.0.1:8080"]),
        ("ns/echo:9000", &["10.0.0.1:9001"]),
        ("ns/echo:8080", &[]),
        ("ns/echo:none", &[]),
        ("ns/echo", &["10.0.0.1:8080", "10.0.0.1:9001"]),
        ("ns/echo:*", &["10.0.0.1:8080", "10.0.0.1:9001"]),
    ] {
        assert_eq!(world.backends(name).unwrap(), expected, "{name}");
    }
}

#[test]
fn edge_08_the_only_port_needs_no_name() {
    let text = wants("x", &["ns/one", "ns/one:80"])
        + &service("one", "ports: [{port: 80, targetPort: 8080}]")
        + &slice("one", 1, "{port: 8080}", "{addresses: [10.0.0.1]}");
    let (world, told) = run(&text);
    assert_told(&told, &[]);
    for name in ["ns/one", "ns/one:80"] {
        assert_eq!(world.backends(name).unwrap(), ["10.0.0.1:8080"], "{name}");
    }
}

#[test]
fn edge_08_two_objects_may_want_other_ports_of_one_service() {
    let ports = "ports: [{name: web, port: 80}, {name: admin, port: 9000}]";
    let targets = "{name: web, port: 8080}, {name: admin, port: 9001}";
    let mut world = World::new(
        &(wants("a", &["ns/echo:80"])
            + "  backendServices: [{name: echo, number: [\"80\"]}]\n"
            + &wants("b", &["ns/echo:admin"])
            + "  backendServices: [{name: echo, number: [admin]}]\n"
            + &service("echo", ports)
            + &slice("echo", 1, targets, "{addresses: [10.0.0.1]}")),
    );
    assert_told(&world.told(), &[]);
    assert_eq!(world.backends("ns/echo:80").unwrap(), ["10.0.0.1:8080"]);
    assert_eq!(world.backends("ns/echo:admin").unwrap(), ["10.0.0.1:9001"]);
    let changes = world.delete(Kind::CiliumEnvoyConfig, "ns", "a");
    let gone = ["Cluster ns/echo:80", "ClusterLoadAssignment ns/echo:80"].map(str::to_owned);
    assert_eq!(changed(&changes), gone.into());
    assert_eq!(world.backends("ns/echo:80"), None);
    assert_eq!(world.backends("ns/echo:admin").unwrap(), ["10.0.0.1:9001"]);
}

#[test]
fn edge_08_terminating_backends_are_the_last_resort() {
    let leaving = "{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}";
    let gone = "{addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}}";
    let unready = "{addresses: [10.0.0.3], conditions: {ready: false, serving: false}}";
    let ready = "{addresses: [10.0.0.4]}";
    let mut world = World::new(&(wants("x", &["ns/echo:80"]) + &service("echo", ECHO)));
    for (endpoints, expected) in [
        ([leaving, gone, unready], &["10.0.0.1:8080"][..]),
        ([leaving, gone, ready], &["10.0.0.4:8080"]),
        ([gone, gone, unready], &[]),
    ] {
        world.apply(&slice("echo", 1, WEB, &endpoints.join(", ")));
        assert_eq!(world.backends("ns/echo:80").unwrap(), expected);
    }
    // One that is ready in another slice is enough.
    world.apply(&slice("echo", 1, WEB, leaving));
    world.apply(&slice("echo", 2, WEB, ready));
    assert_eq!(world.backends("ns/echo:80").unwrap(), ["10.0.0.4:8080"]);
}

#[test]
fn edge_08_without_backends_the_assignment_is_empty_and_there() {
    let mut world = World::new(&(wants("x", &["ns/echo:80"]) + &service("echo", ECHO)));
    assert_eq!(world.backends("ns/echo:80"), none());
    world.apply(&slice("echo", 1, WEB, "{addresses: [10.0.0.1]}"));
    assert_eq!(world.backends("ns/echo:80").unwrap(), ["10.0.0.1:8080"]);
    let changes = world.delete(Kind::EndpointSlice, "ns", "echo-1");
    assert_eq!(changed(&changes), ["ClusterLoadAssignment ns/echo:80".to_owned()].into());
    assert_eq!(world.backends("ns/echo:80"), none());
}

#[test]
fn edge_08_a_port_that_is_not_tcp_is_left_alone() {
    let ports =
        "{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}, {name: voice, port: 5060, protocol: UDP}";
    let targets =
        "{name: dns, port: 5301, protocol: UDP}, {name: dns-tcp, port: 5302}, {name: voice, port: 5061, protocol: UDP}";
    let clusters = ["ns/dns:53", "ns/dns:dns", "ns/dns:5060", "ns/dns"];
    let text = wants("x", &clusters)
        + "  backendServices: [{name: dns, number: [voice]}]\n"
        + &proxy("ns", "y", "", "[{name: dns, ports: [53, 5060]}, {name: udp}]", "ns/dns:dns-tcp")
        + &service("dns", &format!("clusterIP: 10.96.0.8, ports: [{ports}]"))
        + &service("udp", "clusterIP: 10.96.0.9, ports: [{port: 53, protocol: UDP}]")
        + &slice("dns", 1, targets, "{addresses: [10.0.0.1]}");
    let (world, told) = run(&text);
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig ns/x: spec.backendServices[0].number[0]: Service ns/dns has no TCP port \"voice\"",
            "CiliumEnvoyConfig ns/y: spec.services[0].ports[1]: Service ns/dns has no TCP port 5060",
            "CiliumEnvoyConfig ns/y: spec.services[1].name: Service ns/udp has no TCP port",
        ],
    );
    let redirects: Vec<_> = world.sent("node").into_iter().filter(|it| it.starts_with("Redirect")).collect();
    assert_eq!(redirects, ["Redirect ns/dns:53"]);
    assert_eq!(world.backends("ns/dns:53").unwrap(), ["10.0.0.1:5302"]);
    assert_eq!(world.backends("ns/dns:dns"), none());
    assert_eq!(world.backends("ns/dns:5060"), none());
    assert_eq!(world.backends("ns/dns").unwrap(), ["10.0.0.1:5302"]);
}

/// One endpoint of a pod, with its zone and its node.
fn pod(address: &str, uid: &str, place: &str) -> String {
    format!("{{addresses: [\"{address}\"], targetRef: {{kind: Pod, name: same, uid: {uid}}}, {place}}}")
}

#[test]
fn edge_08_a_pod_with_two_addresses_is_one_backend() {
    let place = "zone: z1, nodeName: n1";
    let v4 = [pod("10.0.0.2", "b", "nodeName: n2"), pod("10.0.0.1", "a", place)].join(", ");
    let v6 = [pod("fd00::1", "a", place), pod("fd00::3", "c", "zone: z1"), "{addresses: [\"fd00::4\"]}".to_owned()];
    let mut world = World::new(
        &(wants("x", &["ns/echo:80"])
            + &service("echo", ECHO)
            + &slice("echo", 1, WEB, &v4)
            + &slice("echo", 2, "{name: web, port: 8086}", &v6.join(", "))),
    );
    let expected = ["10.0.0.2:8080 n2", "fd00::4:8086", "z1 10.0.0.1:8080 fd00::1:8086 n1", "z1 fd00::3:8086"];
    assert_eq!(world.backends("ns/echo:80").unwrap(), expected);

    // The Service's first family is dialled first, with and without addresses of its own.
    for first in ["clusterIP: \"fd00:96::7\"", "clusterIP: None, ipFamilies: [IPv6, IPv4]"] {
        world.apply(&service("echo", &format!("{first}, ports: [{{name: web, port: 80}}]")));
        let backends = world.backends("ns/echo:80").unwrap();
        assert!(backends.contains(&"z1 fd00::1:8086 10.0.0.1:8080 n1".to_owned()), "{first}: {backends:?}");
    }

    // What the targets are called says nothing unless they are pods.
    let other = v4.replace("kind: Pod", "kind: Machine");
    world.apply(&slice("echo", 1, WEB, &other));
    assert_eq!(world.backends("ns/echo:80").unwrap().len(), 5);
}
