//! 15, 16 and 23: whom a path leads to, and how it is asked.

use axoneme_envoy::ResourceKind;

use crate::world::{World, ingress, rule};

#[test]
fn edge_16_default_backend_alone_and_a_port_by_name() {
    let world = World::new(&ingress("", "defaultBackend: {service: {name: web, port: {name: http}}}"));
    assert_eq!(world.problems(), Vec::<String>::new());
    assert_eq!(world.routes("listener-insecure", "*").last().unwrap()["match"]["prefix"], "/");
}

#[test]
fn edge_16_an_external_name_is_refused_for_its_path_only() {
    // It could name what only the node reaches, such as the proxy's own socket.
    let elsewhere = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: elsewhere, namespace: shop}\nspec: {type: \
                     ExternalName, externalName: localhost, ports: [{port: 80}]}\n";
    let path = "{path: /x, pathType: Prefix, backend: {service: {name: elsewhere, port: {number: 80}}}}";
    let spec = format!("rules: [{{http: {{paths: [{path}]}}}}, {}]", rule("a.example"));
    let world = World::new(&[&ingress("", &spec), elsewhere].concat());
    assert!(world.problems()[0].contains("is an ExternalName"), "{:?}", world.problems());
    assert_eq!(world.routes("listener-insecure", "*")[0]["direct_response"]["status"], 503);
    assert!(world.resources(ResourceKind::Cluster).iter().all(|(name, _)| !name.contains("elsewhere")));
}

#[test]
fn edge_15_expressions_come_after_exact_paths_and_before_prefixes() {
    let path = |kind: &str, path: &str| {
        format!("{{path: {path:?}, pathType: {kind}, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}")
    };
    let paths = [
        path("Prefix", "/impl/long/prefix"),
        path("ImplementationSpecific", "/impl.*"),
        path("Exact", "/impl"),
        path("ImplementationSpecific", "/impl/.+"),
    ];
    let spec = format!("rules: [{{host: a.example, http: {{paths: [{}]}}}}]", paths.join(", "));
    let kinds = |annotations: &str| {
        let routes = World::new(&ingress(annotations, &spec)).routes("listener-insecure", "a.example");
        let told = |route: &serde_json::Value| {
            let it = &route["match"];
            let regex = it["safe_regex"]["regex"].as_str().map(|regex| format!("regex {regex}"));
            let prefix = || it["path_separated_prefix"].as_str().map(|prefix| format!("prefix {prefix}"));
            regex.or_else(prefix).unwrap_or_else(|| format!("exact {}", it["path"].as_str().unwrap_or_default()))
        };
        let mut all: Vec<_> = routes.iter().map(told).collect();
        all.dedup();
        all
    };
    let as_regex = ["exact /impl", "regex /impl/.+", "regex /impl.*", "prefix /impl/long/prefix"];
    assert_eq!(kinds("ingress.axoneme.io/path-type: regex"), as_regex);
    let as_prefix = ["exact /impl", "prefix /impl/long/prefix", "prefix /impl/.+", "prefix /impl.*"];
    assert_eq!(kinds(""), as_prefix);
}

#[test]
fn edge_23_what_a_port_speaks_decides_how_it_is_asked() {
    let asked = |protocol: &str| {
        let service = format!(
            "\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: told, namespace: shop}}\nspec: {{ports: [{{port: 80{protocol}}}]}}\n"
        );
        let path = "{path: /, pathType: Prefix, backend: {service: {name: told, port: {number: 80}}}}";
        let spec = format!("rules: [{{http: {{paths: [{path}]}}}}]");
        let world = World::new(&[ingress("", &spec), service].concat());
        let version = |(name, cluster): &(String, serde_json::Value)| {
            let options = &cluster["typed_extension_protocol_options"];
            let explicit = &options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["explicit_http_config"];
            let version = if explicit["http2_protocol_options"].is_object() { 2 } else { 1 };
            (name.rsplit('/').next().unwrap().to_owned(), version)
        };
        let clusters: Vec<_> = world.resources(ResourceKind::Cluster).iter().map(version).collect();
        assert_eq!(world.routes("listener-insecure", "*").len(), clusters.len());
        (clusters, world.problems().len())
    };
    let one = |version| (vec![("shop:told:80".to_owned(), version)], 0);
    let both = vec![("shop:told:80".to_owned(), 1), ("shop:told:80:h2".to_owned(), 2)];
    assert_eq!(asked(""), (both.clone(), 0));
    assert_eq!(asked(", appProtocol: example.com/own"), (both.clone(), 0));
    assert_eq!(asked(", appProtocol: kubernetes.io/h2c"), one(2));
    assert_eq!(asked(", appProtocol: grpc"), one(2));
    assert_eq!(asked(", appProtocol: kubernetes.io/ws"), one(1));
    assert_eq!(asked(", appProtocol: http"), one(1));
    assert_eq!(asked(", appProtocol: https"), (both, 1));
}
