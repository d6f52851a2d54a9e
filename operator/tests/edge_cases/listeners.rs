//! Which listener takes the traffic of a Service, and what is left out of it.

use crate::build::*;
use crate::support;
use crate::world::*;

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: ns}\n\
                       spec: {ports: [{name: http, port: 80}, {name: alt, port: 81}]}\n";

fn redirected(services: &str, listeners: &[String]) -> (Vec<String>, Vec<String>) {
    let mut resources = listeners.to_vec();
    resources.extend([routes("r", "{cluster: c}"), cluster("c")]);
    let (world, told) = run(&format!("{SERVICE}{}  services: {services}\n", config("ns", "x", &resources)));
    let object = world.engine.reports().into_iter().next().unwrap();
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

    for field in ["internal_listener", "internalListener"] {
        let internal = listener_of("one", &router, &format!("{field}: {{}}"));
        let (redirects, _) = redirected("[{name: echo}]", &[internal, listener("two", "r")]);
        assert_eq!(redirects, ["ns/echo:80 ns/x/two", "ns/echo:81 ns/x/two"], "{field}");
    }
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
    let (world, told) =
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
    assert!(!support::view(&world.engine, "node").contains("cilium."), "{}", support::view(&world.engine, "node"));
}
