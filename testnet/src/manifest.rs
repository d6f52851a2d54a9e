//! Manifests of what Kubernetes would write by itself.

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

/// One family of a pod, which is named alike in both.
fn endpoint(pod: &Dual, address: IpAddr) -> String {
    let name = pod.v4.to_string().replace('.', "-");
    format!(
        "\n- addresses: [\"{address}\"]\n  conditions: {{ready: true}}\n  targetRef: {{kind: Pod, name: pod-{name}}}"
    )
}
