//! Manifests that more than one test needs: what Kubernetes would write by itself, and the plainest config there is.

use std::net::IpAddr;

use crate::Dual;

/// The EndpointSlices of a Service, one per address family, as YAML documents. Without backends they are there and empty.
///
/// `port_name` is the name of the Service's port, empty if it has none.
#[must_use]
pub fn endpoint_slices(namespace: &str, service: &str, port_name: &str, port: u16, backends: &[Dual]) -> String {
    let families = [("IPv4", 0), ("IPv6", 1)];
    let slice = |(family, index): (&str, usize)| {
        let endpoints: String = backends.iter().map(|backend| endpoint(backend, backend.each()[index])).collect();
        let endpoints = if endpoints.is_empty() { " []".to_owned() } else { endpoints };
        format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}-{}
  namespace: {namespace}
  labels: {{kubernetes.io/service-name: {service}}}
addressType: {family}
endpoints:{endpoints}
ports:
- {{name: {port_name:?}, port: {port}, protocol: TCP}}
---
",
            family.to_lowercase()
        )
    };
    families.map(slice).concat()
}

/// A CiliumEnvoyConfig that sends the connections of a Service on to its own endpoints: one listener, one cluster.
#[must_use]
pub fn tcp_config(namespace: &str, name: &str, service: &str) -> String {
    format!(
        r#"apiVersion: cilium.io/v2
kind: CiliumEnvoyConfig
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  services:
  - name: {service}
  resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    name: listener
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: {name}
          cluster: {namespace}/{service}
  - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: {namespace}/{service}
    type: EDS
    connect_timeout: 5s
"#
    )
}

/// One family of a pod, which is named alike in both.
fn endpoint(pod: &Dual, address: IpAddr) -> String {
    let name = pod.v4.to_string().replace('.', "-");
    format!(
        "\n- addresses: [\"{address}\"]\n  conditions: {{ready: true}}\n  targetRef: {{kind: Pod, name: pod-{name}}}"
    )
}
