//! What two objects claim: the oldest has it, the other says so and is ready to take it over.

use std::collections::BTreeSet;

use axoneme_operator::Kind;

use crate::build::*;
use crate::world::*;

fn born(day: u8) -> String {
    format!("creationTimestamp: \"2026-01-0{day}T00:00:00Z\"")
}

fn echo() -> String {
    service("echo", "ports: [{name: web, port: 80}]")
        + &slice("echo", 1, "{name: web, port: 8080}", "{addresses: [10.0.0.1]}")
}

/// Two objects that claim `ns/echo`, the older one first.
fn rivals() -> World {
    let claim = |name: &str, day| proxy("ns", name, &born(day), "[{name: echo}]", "c");
    World::new(&(echo() + &claim("late", 2) + &claim("old", 1)))
}

const LOST: &str = "CiliumEnvoyConfig ns/late: spec.services: CiliumEnvoyConfig ns/old is older and takes the traffic of \
                    Service port ns/echo:80 already";

#[test]
fn edge_10_the_oldest_has_a_service_port_and_the_next_one_takes_over_without_a_gap() {
    let mut world = rivals();
    assert_told(&world.told(), &[LOST]);
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/old/l");
    // The loser's own resources are there all the time, so taking over is one change of the redirect.
    assert!(world.sent("node").contains("Listener ns/late/l"));

    let changes = world.delete(Kind::CiliumEnvoyConfig, "ns", "old");
    let expected = ["Cluster ns/old/c", "Listener ns/old/l", "Redirect ns/echo:80"].map(str::to_owned);
    assert_eq!(changed(&changes), expected.into());
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/late/l");
    assert_told(&world.told(), &[]);
}

#[test]
fn edge_10_a_loser_that_goes_disturbs_nobody() {
    let mut world = rivals();
    let changes = world.delete(Kind::CiliumEnvoyConfig, "ns", "late");
    let expected = ["Cluster ns/late/c", "Listener ns/late/l"].map(str::to_owned);
    let changed: BTreeSet<_> = changed(&changes).into_iter().filter(|it| !it.starts_with("Redirect")).collect();
    assert_eq!(changed, expected.into());
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/old/l");
    assert_told(&world.told(), &[]);
}

#[test]
fn edge_10_a_winner_that_claims_less_leaves_the_rest() {
    let mut world = rivals();
    let less = proxy("ns", "old", &born(1), "[]", "c");
    assert_eq!(changed(&world.apply(&less)), ["Redirect ns/echo:80".to_owned()].into());
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/late/l");
    assert_told(&world.told(), &[]);
    // An invalid version takes nothing: the last good one of the winner stands.
    world.apply(&proxy("ns", "old", &born(1), "[{name: echo}]", "c"));
    assert_told(&world.told(), &[LOST]);
    world.apply(&proxy("ns", "old", &born(1), "[{name: echo, namespace: other}]", "c"));
    assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/old/l");
}

#[test]
fn edge_10_of_the_same_age_the_first_by_name_wins() {
    let claim = |name: &str| proxy("ns", name, &born(1), "[{name: echo}]", "c");
    for text in [claim("a") + &claim("b"), claim("b") + &claim("a")] {
        let world = World::new(&(echo() + &text));
        assert_eq!(world.listener_of("ns/echo:80").unwrap(), "ns/a/l");
        assert_eq!(world.told().len(), 1);
    }
}

#[test]
fn edge_10_listeners_and_clusters_of_one_name_are_decided_alike() {
    // A name that begins with the own namespace can be another object's.
    let tcp = |cluster: &str| {
        format!(
            "{{name: tcp, typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: {cluster}}}}}"
        )
    };
    let object = |name: &str, day| {
        let resources = [listener_of("ns/shared", &tcp("ns/shared"), ""), cluster("ns/shared")];
        config_with("ns", name, &born(day), &resources)
    };
    let mut world = World::new(&(object("late", 2) + &object("old", 1)));
    let lost = |kind: &str| {
        format!(
            "CiliumEnvoyConfig ns/late: spec.resources: {kind} ns/shared is defined by CiliumEnvoyConfig ns/old already"
        )
    };
    assert_told(&world.told(), &[&lost("Cluster"), &lost("Listener")]);
    let shared: BTreeSet<_> =
        ["Cluster ns/shared", "ClusterLoadAssignment ns/shared", "Listener ns/shared"].map(str::to_owned).into();
    assert_eq!(world.sent("node"), shared);
    let changes = world.delete(Kind::CiliumEnvoyConfig, "ns", "old");
    assert!(changed(&changes).is_subset(&shared), "{:?}", changed(&changes));
    assert_eq!(world.sent("node"), shared, "one takes the other's place");
    assert_told(&world.told(), &[]);
}

#[test]
fn edge_10_one_secret_for_two_objects_is_no_conflict() {
    let tls = "transport_socket: {name: tls, typed_config: {'@type': \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
               {validation_context_sds_secret_config: {name: ns/token}}}}";
    let object = |name: &str, day, cluster: &str| {
        config_with("ns", name, &born(day), &[format!("{}\n{tls}", self::cluster(cluster))])
    };
    let secret = |content: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: ns}}\nstringData: {{generic: {content}}}\n"
        )
    };
    let mut world = World::new(&(secret("x") + &object("late", 2, "a") + &object("old", 1, "b")));
    assert_told(&world.told(), &[]);
    world.apply(&secret("y"));
    assert_told(&world.told(), &[]);
    // Whoever goes, the other has it.
    for (gone, left) in [("old", "Cluster ns/late/a"), ("late", "Cluster ns/old/b")] {
        let mut world = World::new(&(secret("x") + &object("late", 2, "a") + &object("old", 1, "b")));
        world.delete(Kind::CiliumEnvoyConfig, "ns", gone);
        assert_eq!(world.sent("node"), [left, "Secret ns/token"].map(str::to_owned).into());
        assert_told(&world.told(), &[]);
    }
}

fn ingress(day: u8) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, namespace: ns, {}}}\nspec:\n  \
         ingressClassName: cilium\n  defaultBackend: {{service: {{name: echo, port: {{number: 80}}}}}}\n",
        born(day)
    )
}

#[test]
fn edge_10_the_service_of_an_ingress_is_claimed_like_any_other() {
    const PORT: &str = "ns/cilium-ingress-web:80";
    let claim = proxy("ns", "x", &born(2), "[{name: cilium-ingress-web, ports: [80]}]", "c");
    let own = "ns/cilium-ingress-ns-web/listener";

    let mut world = World::new(&(echo() + &ingress(1) + &claim));
    assert_told(&world.told(), &["CiliumEnvoyConfig ns/x: spec.services: Ingress ns/web is older"]);
    assert_eq!(world.listener_of(PORT).unwrap(), own);
    world.delete(Kind::CiliumEnvoyConfig, "ns", "x");
    assert_eq!(world.listener_of(PORT).unwrap(), own);
    assert_told(&world.told(), &[]);

    let mut world = World::new(&(echo() + &ingress(3) + &claim));
    assert_told(&world.told(), &["Ingress ns/web: CiliumEnvoyConfig ns/x is older"]);
    assert_eq!(world.listener_of(PORT).unwrap(), "ns/x/l");
    let changes = world.delete(Kind::CiliumEnvoyConfig, "ns", "x");
    let expected = ["Cluster ns/x/c", "Listener ns/x/l", &format!("Redirect {PORT}")].map(str::to_owned);
    assert_eq!(changed(&changes), expected.into());
    assert_eq!(world.listener_of(PORT).unwrap(), own);
    assert_told(&world.told(), &[]);

    // The Ingress goes, and its Service with it: there is nothing to take over.
    world.apply(&claim);
    world.delete(Kind::Ingress, "ns", "web");
    assert_eq!(world.listener_of(PORT), None);
    assert_told(
        &world.told(),
        &["CiliumEnvoyConfig ns/x: spec.services[0].name: Service ns/cilium-ingress-web does not exist"],
    );
}

#[test]
fn edge_12_the_traffic_of_another_namespace_is_not_to_be_had() {
    let (world, told) = run(&(echo() + &proxy("other", "x", "", "[{name: echo, namespace: ns}]", "c")));
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig other/x: spec.services[0].namespace: is \"ns\", but an object of namespace \"other\" can only",
        ],
    );
    assert_eq!(world.sent("node"), BTreeSet::new(), "refused whole");

    // Without a namespace it is the own one; written out, it may be; and a clusterwide object may name any.
    let (world, told) = run(&(echo() + &proxy("other", "x", "", "[{name: echo}]", "c")));
    assert_told(&told, &["CiliumEnvoyConfig other/x: spec.services[0].name: Service other/echo does not exist"]);
    assert_eq!(world.listener_of("ns/echo:80"), None);
    for (namespace, expected) in [("ns", "ns/x/l"), ("", "/x/l")] {
        let (world, told) = run(&(echo() + &proxy(namespace, "x", "", "[{name: echo, namespace: ns}]", "c")));
        assert_told(&told, &[]);
        assert_eq!(world.listener_of("ns/echo:80").unwrap(), expected);
    }
}
