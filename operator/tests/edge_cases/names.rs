//! What an object may hold, and what names in it mean.

use std::collections::BTreeSet;

use crate::build::*;
use crate::world::*;

#[test]
fn edge_01_one_bad_element_refuses_the_whole_object_with_every_mistake() {
    let bad = [
        cluster("good"),
        "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Klaster\nname: x".to_owned(),
        cluster("c") + "\nconect_timeout: 1s",
    ];
    let (world, told) = run(&config("default", "x", &bad));
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig default/x: spec.resources[1].@type: type \"type.googleapis.com/envoy.config.cluster.v3.Klaster\" is not known",
            "CiliumEnvoyConfig default/x: spec.resources[2].conect_timeout: unknown field in envoy.config.cluster.v3.Cluster, did you mean connect_timeout?",
        ],
    );
    assert_eq!(world.sent("node"), BTreeSet::new());
}

#[test]
fn edge_02_a_name_stands_once_in_an_object_and_the_oldest_object_has_it() {
    let assignment = "\"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\ncluster_name: e";
    let secret = "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\nname: s\n\
                  generic_secret: {secret: {inline_string: x}}";
    let kinds =
        [listener("l", "r"), routes("r", "{cluster: c}"), cluster("c"), assignment.to_owned(), secret.to_owned()];
    let twice: Vec<String> = kinds.iter().chain(&kinds).cloned().collect();
    let (_, told) = run(&config("default", "x", &twice));
    let wrong = |at: usize, field: &str| format!("CiliumEnvoyConfig default/x: spec.resources[{at}].{field}:");
    let wrong = [wrong(5, "name"), wrong(6, "name"), wrong(7, "name"), wrong(8, "cluster_name"), wrong(9, "name")];
    assert_told(&told, &wrong.each_ref().map(String::as_str));

    let shared = [cluster("default/shared")];
    let (world, told) = run(&(config("default", "a", &shared) + &config("default", "b", &shared)));
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig default/b: spec.resources: Cluster default/shared is defined by CiliumEnvoyConfig default/a",
        ],
    );
    assert!(world.sent("node").contains("Cluster default/shared"));
}

#[test]
fn edge_03_names_become_full_and_foreign_ones_are_refused() {
    let own = [listener("l", "r"), routes("r", "{cluster: c}"), cluster("c")];
    let (world, told) = run(&config("ns", "x", &own));
    assert_told(&told, &[]);
    let names = world.sent("node");
    for name in ["Listener ns/x/l", "RouteConfiguration ns/x/r", "Cluster ns/x/c"] {
        assert!(names.contains(name), "{names:?}");
    }
    let (world, told) = run(&config("", "x", &own));
    assert_told(&told, &[]);
    assert!(world.sent("node").contains("Listener /x/l"), "{:?}", world.sent("node"));

    let (_, told) = run(&config("ns", "x", &[cluster("other/c")]));
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.resources[0].name:"]);
    let (_, told) = run(&config("ns", "x", &[cluster("''")]));
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.resources[0].name:"]);
}

#[test]
fn edge_04_references_are_followed_wherever_they_stand() {
    let at = "CiliumEnvoyConfig ns/x: spec.resources[0]";
    let (_, told) = run(&config("ns", "x", &[listener("l", "missing")]));
    let rds = "filter_chains[0].filters[0].typed_config.rds.route_config_name: no RouteConfiguration ns/x/missing";
    assert_told(&told, &[&format!("{at}.{rds}")]);

    let inline = format!(
        "route_config: {{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{}]}}]}}",
        "{match: {prefix: /}, route: {cluster: gone}}"
    );
    let (_, told) = run(&config("ns", "x", &[listener_of("l", &hcm(&inline), "")]));
    let cluster_of = "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster";
    assert_told(&told, &[&format!("{at}.{cluster_of}: no Cluster ns/x/gone is in this object")]);

    // What another object may define is warned of.
    for elsewhere in ["other/service", "ns/service:http", "/envoy-admin"] {
        let (_, told) = run(&config("ns", "x", &[routes("r", &format!("{{cluster: {elsewhere}}}"))]));
        let cluster_of = "virtual_hosts[0].routes[0].route.cluster";
        assert_told(&told, &[&format!("{at}.{cluster_of}: no Cluster {elsewhere} is in this object; unless another")]);
    }

    let weighted = "{weighted_clusters: {clusters: [{name: a, weight: 1}, {name: gone, weight: 1}]}, \
                    request_mirror_policies: [{cluster: lost}]}";
    let (_, told) = run(&config("ns", "x", &[routes("r", weighted), cluster("a")]));
    let route = format!("{at}.virtual_hosts[0].routes[0].route");
    assert_told(
        &told,
        &[
            &format!("{route}.weighted_clusters.clusters[1].name: no Cluster ns/x/gone"),
            &format!("{route}.request_mirror_policies[0].cluster: no Cluster ns/x/lost"),
        ],
    );

    let tcp = "{name: tcp, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
               stat_prefix: s, weighted_clusters: {clusters: [{name: gone, weight: 1}]}}}";
    let (_, told) = run(&config("ns", "x", &[listener_of("l", tcp, "")]));
    let field = "filter_chains[0].filters[0].typed_config.weighted_clusters.clusters[0].name";
    assert_told(&told, &[&format!("{at}.{field}: no Cluster ns/x/gone")]);
}

#[test]
fn edge_04_secrets_and_internal_listeners_are_references_too() {
    let at = "CiliumEnvoyConfig ns/x: spec.resources[0]";
    let tls = "transport_socket: {name: tls, typed_config: {'@type': \
               type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
               {tls_certificate_sds_secret_configs: [{name: gone}]}}}";
    let (_, told) = run(&config("ns", "x", &[format!("{}\n{tls}", cluster("c"))]));
    let field = "transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0].name";
    assert_told(&told, &[&format!("{at}.{field}: no Secret ns/x/gone is in this object")]);

    let inward = "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: c\ntype: STATIC\nload_assignment: \
                  {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {envoy_internal_address: \
                  {server_listener_name: inner}}}}]}]}";
    let router = hcm("route_config: {name: r}");
    let field =
        "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.envoy_internal_address.server_listener_name";
    let missing = format!("{at}.{field}: no internal Listener ns/x/inner is in this object");
    let (_, told) = run(&config("ns", "x", &[inward.to_owned()]));
    assert_told(&told, &[&missing]);
    // One that is bound to the network is not what is meant.
    let (_, told) = run(&config("ns", "x", &[inward.to_owned(), listener_of("inner", &router, "")]));
    assert_told(&told, &[&missing]);
    for field in ["internal_listener", "internalListener"] {
        let inner = listener_of("inner", &router, &format!("{field}: {{}}"));
        let (_, told) = run(&config("ns", "x", &[inward.to_owned(), inner]));
        assert_told(&told, &[]);
    }
}
