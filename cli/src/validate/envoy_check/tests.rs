//! With a real Envoy: what only it knows is found, with its words and the place.

use std::path::PathBuf;

use axoneme_envoy::Capability;

use super::*;
use crate::input::Input;

const TYPES: &str = "type.googleapis.com/envoy.config";

fn refused(manifest: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yaml");
    std::fs::write(&file, manifest).unwrap();
    let input = Input::read(&[file], std::iter::once(Capability::Lua).collect()).unwrap();
    assert_eq!(input.engine.problems().values().flatten().collect::<Vec<_>>(), Vec::<&Problem>::new());
    let envoy: PathBuf = axoneme_testnet::envoy().unwrap();
    let found = refusals(&input.engine, &input.folder, &envoy).unwrap();
    let line = |it: &Located| it.location.as_ref().unwrap().position.line;
    found.iter().map(|it| format!("{}: {}: {}", line(it), it.object, it.problem)).collect()
}

/// An object with a cluster and a route whose path is this regular expression, in lines 6 and 7.
fn config(name: &str, regex: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumEnvoyConfig\nmetadata: {{name: {name}}}\nspec: {{resources: [\n  \
         {{'@type': {TYPES}.cluster.v3.Cluster, name: c, type: EDS}},\n  \
         {{'@type': {TYPES}.route.v3.RouteConfiguration, name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{{\
         match: {{safe_regex: {{regex: '{regex}'}}}}, route: {{cluster: c}}}}]}}]}}]}}\n"
    )
}

#[test]
fn one_bad_resource_is_named_among_good_ones() {
    let manifests = config("good", "/a+") + &config("bad", "/((");
    let found = refused(&manifests);
    assert_eq!(found, ["14: CiliumEnvoyConfig default/bad: spec.resources[1]: Envoy refuses it: missing ): /(("]);
    assert_eq!(refused(&config("good", "/a+")), Vec::<String>::new());
}

#[test]
fn what_two_objects_cannot_both_have_is_told_of_the_later_one() {
    let listener = |name: &str| {
        format!(
            "---\napiVersion: cilium.io/v2\nkind: CiliumEnvoyConfig\nmetadata: {{name: {name}}}\nspec: {{resources: [{{'@type': \
             {TYPES}.listener.v3.Listener, name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: 80}}}}, \
             filter_chains: [{{filters: [{{name: echo, typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}}}]}}]}}]}}\n"
        )
    };
    let found = refused(&(listener("one") + &listener("two")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("CiliumEnvoyConfig default/two: spec.resources[0]: Envoy refuses it: "), "{found:?}");
}

#[test]
fn lua_is_no_sandbox() {
    let http = "type.googleapis.com/envoy.extensions.filters.http";
    let hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let manifest = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumEnvoyConfig\nmetadata: {{name: x}}\nspec: {{resources: [{{'@type': \
         {TYPES}.listener.v3.Listener, name: l, filter_chains: [{{filters: [{{name: hcm, typed_config: {{'@type': {hcm}, \
         stat_prefix: s, route_config: {{name: r}}, http_filters: [{{name: lua, typed_config: {{'@type': {http}.lua.v3.Lua, \
         default_source_code: {{inline_string: \"error('it says ' .. io.popen('echo hello'):read())\"}}}}}}, {{name: \
         envoy.filters.http.router}}]}}}}]}}]}}]}}\n"
    );
    let found = refused(&manifest);
    assert!(found.len() == 1 && found[0].contains("it says hello"), "{found:?}");
}

#[test]
fn a_program_that_dies_of_a_signal_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("dies");
    std::fs::write(&program, "#!/bin/sh\nkill -SEGV $$\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let refused = Envoy::new(&program).unwrap().refuses(&[]).unwrap();
    assert_eq!(refused.as_deref(), Some("it crashes Envoy (signal 11)"));
    assert!(Envoy::new(Path::new("/nonexistent")).unwrap().refuses(&[]).is_err());
}
