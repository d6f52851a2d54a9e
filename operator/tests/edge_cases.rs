//! Edge cases of CiliumEnvoyConfig, numbered as in the conformance list that `docs/compatibility.md` ends with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use axoneme_operator::Engine;

const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A namespaced config with these resources, as YAML list items without indentation.
fn config(namespace: &str, name: &str, resources: &[String]) -> String {
    let items: String = resources
        .iter()
        .map(|resource| {
            let mut lines = resource.lines();
            let first = format!("  - {}\n", lines.next().unwrap());
            lines.fold(first, |text, line| format!("{text}    {line}\n"))
        })
        .collect();
    let (kind, place) = match namespace {
        "" => ("CiliumClusterwideEnvoyConfig", String::new()),
        namespace => ("CiliumEnvoyConfig", format!(", namespace: {namespace}")),
    };
    format!(
        "---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: {name}{place}}}\nspec:\n  resources:\n{items}"
    )
}

fn cluster(name: &str) -> String {
    format!("\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: {name}\ntype: EDS")
}

fn routes(name: &str, action: &str) -> String {
    let routes = format!("[{{match: {{prefix: /}}, route: {action}}}]");
    format!(
        "\"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\nname: {name}\n\
         virtual_hosts: [{{name: all, domains: ['*'], routes: {routes}}}]"
    )
}

/// `filter` is the one network filter; `fields` come on top.
fn listener_of(name: &str, filter: &str, fields: &str) -> String {
    format!(
        "\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\nname: {name}\n{fields}\n\
         filter_chains: [{{filters: [{filter}]}}]"
    )
}

fn hcm(routes: &str) -> String {
    format!(
        "{{name: hcm, typed_config: {{'@type': type.googleapis.com/{HCM}, stat_prefix: s, {routes}, \
         http_filters: [{{name: envoy.filters.http.router}}]}}}}"
    )
}

fn listener(name: &str, route: &str) -> String {
    listener_of(name, &hcm(&format!("rds: {{route_config_name: {route}}}")), "")
}

fn run(text: &str) -> (Engine, Vec<String>) {
    let folder = support::text(text);
    let (engine, _) = support::run(&folder);
    let problems = engine.problems().iter();
    let told =
        problems.flat_map(|(object, problems)| problems.iter().map(move |problem| format!("{object}: {problem}")));
    let told = told.collect();
    (engine, told)
}

/// `Type name` of everything that a node gets.
fn sent(engine: &Engine) -> Vec<String> {
    let view = engine.intents().view("node");
    view.iter().map(|it| format!("{} {}", it.type_url.rsplit('.').next().unwrap(), it.name)).collect()
}

/// The problems start with these, in order.
fn assert_told(told: &[String], starts: &[&str]) {
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told:?} does not start with {start:?}");
    }
}

#[test]
fn edge_01_one_bad_element_refuses_the_whole_object_with_every_mistake() {
    let bad = [
        cluster("good"),
        "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Klaster\nname: x".to_owned(),
        cluster("c") + "\nconect_timeout: 1s",
    ];
    let (engine, told) = run(&config("default", "x", &bad));
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig default/x: spec.resources[1].@type: type \"type.googleapis.com/envoy.config.cluster.v3.Klaster\" is not known",
            "CiliumEnvoyConfig default/x: spec.resources[2].conect_timeout: unknown field in envoy.config.cluster.v3.Cluster, did you mean connect_timeout?",
        ],
    );
    assert_eq!(sent(&engine), Vec::<String>::new());
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
    let (engine, told) = run(&(config("default", "a", &shared) + &config("default", "b", &shared)));
    assert_told(
        &told,
        &[
            "CiliumEnvoyConfig default/b: spec.resources: Cluster default/shared is defined by CiliumEnvoyConfig default/a",
        ],
    );
    assert!(sent(&engine).contains(&"Cluster default/shared".to_owned()));
}

#[test]
fn edge_03_names_become_full_and_foreign_ones_are_refused() {
    let own = [listener("l", "r"), routes("r", "{cluster: c}"), cluster("c")];
    let (engine, told) = run(&config("ns", "x", &own));
    assert_told(&told, &[]);
    let names = sent(&engine);
    for name in ["Listener ns/x/l", "RouteConfiguration ns/x/r", "Cluster ns/x/c"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    let (engine, told) = run(&config("", "x", &own));
    assert_told(&told, &[]);
    assert!(sent(&engine).contains(&"Listener /x/l".to_owned()), "{:?}", sent(&engine));

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

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: ns}\n\
                       spec: {ports: [{name: http, port: 80}, {name: alt, port: 81}]}\n";

fn redirected(services: &str, listeners: &[String]) -> (Vec<String>, Vec<String>) {
    let mut resources = listeners.to_vec();
    resources.extend([routes("r", "{cluster: c}"), cluster("c")]);
    let (engine, told) = run(&format!("{SERVICE}{}  services: {services}\n", config("ns", "x", &resources)));
    let object = engine.reports().into_iter().next().unwrap();
    (object.redirects.into_iter().map(|it| format!("{} {}", it.service, it.listener)).collect(), told)
}

#[test]
fn edge_05_a_service_goes_to_the_listener_that_can_take_it() {
    let two = [listener("one", "r"), listener("two", "r")];
    let (redirects, told) = redirected("[{name: echo}]", &two);
    assert_told(&told, &[]);
    assert_eq!(redirects, ["ns/echo:80 ns/x/one", "ns/echo:81 ns/x/one"]);

    let each = "[{name: echo, listener: two, ports: [80]}, {name: echo, listener: one, ports: [81]}]";
    let (redirects, told) = redirected(each, &two);
    assert_told(&told, &[]);
    assert_eq!(redirects, ["ns/echo:80 ns/x/two", "ns/echo:81 ns/x/one"]);

    let (redirects, told) = redirected("[{name: echo, listener: three}]", &two);
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.services[0].listener: no Listener \"three\""]);
    assert_eq!(redirects, Vec::<String>::new());

    let (redirects, told) = redirected("[{name: echo, ports: [80, 82]}]", &two);
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.services[0].ports[1]: Service ns/echo has no TCP port 82"]);
    assert_eq!(redirects, ["ns/echo:80 ns/x/one"]);

    let router = hcm("rds: {route_config_name: r}");
    let addressed = "address: {socket_address: {address: 127.0.0.1, port_value: 8080}}";
    let (redirects, told) = redirected("[{name: echo}]", &[listener_of("one", &router, addressed)]);
    assert_told(&told, &["CiliumEnvoyConfig ns/x: spec.services[0]: listener ns/x/one has an address of its own"]);
    assert_eq!(redirects, Vec::<String>::new());

    let internal = listener_of("one", &router, "internal_listener: {}");
    let (redirects, _) = redirected("[{name: echo}]", &[internal, listener("two", "r")]);
    assert_eq!(redirects, ["ns/echo:80 ns/x/two", "ns/echo:81 ns/x/two"]);
}

#[test]
fn edge_06_filters_of_ciliums_own_envoy_are_left_out() {
    let chain = format!(
        "{{name: cilium.network, typed_config: {{'@type': type.googleapis.com/cilium.NetworkFilter}}}}, {{name: hcm, \
         typed_config: {{'@type': type.googleapis.com/{HCM}, stat_prefix: s, rds: {{route_config_name: r}}, http_filters: \
         [{{name: cilium.l7policy, typed_config: {{'@type': type.googleapis.com/cilium.L7Policy}}}}, \
         {{name: envoy.filters.http.router}}]}}}}"
    );
    let metadata = "listener_filters: [{name: cilium.bpf_metadata, typed_config: {'@type': type.googleapis.com/cilium.BpfMetadata}}]";
    let (engine, told) =
        run(&config("ns", "x", &[listener_of("l", &chain, metadata), routes("r", "{cluster: c}"), cluster("c")]));
    let at = "CiliumEnvoyConfig ns/x: spec.resources[0]";
    assert_told(
        &told,
        &[
            &format!("{at}.filter_chains[0].filters[0]: cilium.network is left out"),
            &format!("{at}.filter_chains[0].filters[1].typed_config.http_filters[0]: cilium.l7policy is left out"),
            &format!("{at}.listener_filters[0]: cilium.bpf_metadata is left out"),
        ],
    );
    assert!(!support::view(&engine, "node").contains("cilium."), "{}", support::view(&engine, "node"));
}
