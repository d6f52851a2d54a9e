//! Objects as YAML.

pub(crate) const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A namespaced config with these resources, as YAML list items without indentation.
pub(crate) fn config(namespace: &str, name: &str, resources: &[String]) -> String {
    config_with(namespace, name, "", resources)
}

/// The same with more `metadata`, as in a flow mapping.
pub(crate) fn config_with(namespace: &str, name: &str, metadata: &str, resources: &[String]) -> String {
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
        "---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: {name}{place}, {metadata}}}\nspec:\n  \
         resources:\n{items}"
    )
}

/// A config that sends Services of its namespace to a TCP proxy with this cluster.
pub(crate) fn proxy(namespace: &str, name: &str, metadata: &str, services: &str, to: &str) -> String {
    let tcp = format!(
        "{{name: tcp, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         stat_prefix: s, cluster: {to:?}}}}}"
    );
    let resources = [listener_of("l", &tcp, ""), cluster(&format!("{to:?}"))];
    config_with(namespace, name, metadata, &resources) + &format!("  services: {services}\n")
}

/// A Service of namespace `ns`; `spec` as in a flow mapping.
pub(crate) fn service(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: ns}}\nspec: {{{spec}}}\n")
}

/// A slice of a Service of namespace `ns`.
pub(crate) fn slice(service: &str, number: u8, ports: &str, endpoints: &str) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {service}-{number}, namespace: ns, \
         labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: IPv4\nports: [{ports}]\nendpoints: [{endpoints}]\n"
    )
}

pub(crate) fn cluster(name: &str) -> String {
    format!("\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: {name}\ntype: EDS")
}

pub(crate) fn routes(name: &str, action: &str) -> String {
    let routes = format!("[{{match: {{prefix: /}}, route: {action}}}]");
    format!(
        "\"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\nname: {name}\n\
         virtual_hosts: [{{name: all, domains: ['*'], routes: {routes}}}]"
    )
}

/// `filter` is the one network filter; `fields` come on top.
pub(crate) fn listener_of(name: &str, filter: &str, fields: &str) -> String {
    format!(
        "\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\nname: {name}\n{fields}\n\
         filter_chains: [{{filters: [{filter}]}}]"
    )
}

pub(crate) fn hcm(routes: &str) -> String {
    format!(
        "{{name: hcm, typed_config: {{'@type': type.googleapis.com/{HCM}, stat_prefix: s, {routes}, \
         http_filters: [{{name: envoy.filters.http.router}}]}}}}"
    )
}

pub(crate) fn listener(name: &str, route: &str) -> String {
    listener_of(name, &hcm(&format!("rds: {{route_config_name: {route}}}")), "")
}
