//! What the node serves: an Ingress, whose address nobody but Envoy can serve, and a Service whose load balancer address is open to
//! some clients only.

use axoneme_testnet::{Dual, manifest::endpoint_slices};

/// The redirects of the two.
pub(crate) const INGRESS: &str = "web/cilium-ingress-web:80";
pub(crate) const RANGED: &str = "web/ranged:80";

/// Where the backend listens.
const PORT: u16 = 8080;

/// All of it, with one backend. Clients in the LAN, and no others, may ask the Service from outside.
pub(crate) fn all(backend: Dual) -> String {
    let slices = ["steady", "ranged"].map(|service| endpoint_slices("web", service, "http", PORT, &[backend])).concat();
    format!(
        r#"{slices}apiVersion: v1
kind: Service
metadata: {{name: steady, namespace: web}}
spec: {{ports: [{{name: http, port: 80, targetPort: {PORT}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: ranged, namespace: web}}
spec:
  type: LoadBalancer
  loadBalancerSourceRanges: ["10.230.0.0/24", "fd00:230::/64"]
  ports: [{{name: http, port: 80, targetPort: {PORT}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: web
  annotations: {{ingress.cilium.io/loadbalancer-mode: dedicated}}
spec:
  ingressClassName: cilium
  rules:
  - http:
      paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: steady, port: {{number: 80}}}}}}}}]
---
apiVersion: cilium.io/v2
kind: CiliumEnvoyConfig
metadata: {{name: ranged, namespace: web}}
spec:
  services: [{{name: ranged, listener: listener}}]
  resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    name: listener
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ranged
          upgrade_configs: [{{upgrade_type: websocket}}]
          rds: {{route_config_name: routes}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  - "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    name: routes
    virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: web/ranged, timeout: 0s}}}}]}}]
  - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: web/ranged
    type: EDS
    connect_timeout: 5s
"#
    )
}
