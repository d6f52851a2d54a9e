//! The folder's files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{BACKENDS, Pod, Route, State, World, canary};
use crate::stage::PORT;

/// Where clients find the plain listener, and the one with TLS.
pub(crate) const PLAIN: &str = "10.232.0.1:80";
pub(crate) const SECURE: &str = "10.232.0.2:443";

impl World {
    /// Every file with its text.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([
            ("mesh.yaml".to_owned(), vec![self.config()]),
            ("services.yaml".to_owned(), services()),
            ("secret.yaml".to_owned(), vec![self.secret()]),
        ]);
        for service in BACKENDS {
            files.insert(format!("endpoints-{service}.yaml"), vec![self.slice(service)]);
        }
        let text = |(name, documents): (String, Vec<Value>)| {
            let remark = self.remarks.get(&name).copied().unwrap_or_default();
            let documents: Vec<_> = documents.iter().map(|document| serde_yaml::to_string(document).unwrap()).collect();
            let text = format!("# Remark {remark}.\n{}", documents.join("---\n"));
            (name, text)
        };
        files.into_iter().map(text).collect()
    }

    fn config(&self) -> Value {
        let mut resources = vec![listener("plain", None), listener("secure", Some("scale/web"))];
        resources.push(self.route_configuration());
        resources.extend(self.clusters.iter().map(|(service, it)| it.resource(&format!("scale/{service}"), None)));
        resources.extend(self.canary.map(canary));
        json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumEnvoyConfig",
            "metadata": { "name": "mesh", "namespace": "scale" },
            "spec": {
                "services": [{ "name": "web", "listener": "plain" }, { "name": "web-tls", "listener": "secure" }],
                "resources": resources,
            },
        })
    }

    pub(super) fn route_configuration(&self) -> Value {
        let routes: Vec<_> = self.routes.iter().chain([&self.last]).map(Route::resource).collect();
        json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "routes",
            "response_headers_to_add": [{ "header": { "key": "x-serial", "value": self.serial.to_string() } }],
            "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }],
        })
    }

    fn slice(&self, service: &str) -> Value {
        let endpoint = |pod: &Pod| {
            let ready = pod.state == State::Ready;
            json!({
                "addresses": [pod.address],
                "conditions": { "ready": ready, "serving": true, "terminating": !ready },
            })
        };
        let there = self.pods[service].iter().filter(|pod| pod.state != State::Gone);
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-1"),
                "namespace": "scale",
                "labels": { "kubernetes.io/service-name": service },
            },
            "addressType": "IPv4",
            "endpoints": there.map(endpoint).collect::<Vec<_>>(),
            "ports": [{ "name": "http", "port": PORT, "protocol": "TCP" }],
        })
    }

    fn secret(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "web", "namespace": "scale" },
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": self.certificate.certificate, "tls.key": self.certificate.key },
        })
    }
}

impl Route {
    fn resource(&self) -> Value {
        let weighted = |(name, weight): (&String, &usize)| json!({ "name": name, "weight": weight });
        json!({
            "match": { "prefix": self.prefix },
            "route": {
                "timeout": format!("{}s", self.timeout),
                "weighted_clusters": { "clusters": self.weights.iter().map(weighted).collect::<Vec<_>>() },
            },
        })
    }
}

/// The Services: two that the config takes, and those of the backends.
fn services() -> Vec<Value> {
    let service = |name: &str, address: Option<&str>| {
        let port = address.and_then(|address| address.rsplit_once(':')?.1.parse().ok()).unwrap_or(80);
        let mut spec = json!({ "ports": [{ "name": "http", "port": port, "targetPort": PORT }] });
        if let Some((address, _)) = address.and_then(|address| address.rsplit_once(':')) {
            spec["clusterIP"] = json!(address);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": "scale" },
            "spec": spec,
        })
    };
    let taken = [service("web", Some(PLAIN)), service("web-tls", Some(SECURE))];
    taken.into_iter().chain(BACKENDS.map(|name| service(name, None))).collect()
}

fn listener(name: &str, secret: Option<&str>) -> Value {
    let types = "type.googleapis.com/envoy.extensions";
    let mut chain = json!({
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": format!("{types}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "rds": { "route_config_name": "routes" },
                "http_filters": [{ "name": "envoy.filters.http.router" }],
            },
        }],
    });
    if let Some(secret) = secret {
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{types}.transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": { "tls_certificate_sds_secret_configs": [{ "name": secret }] },
            },
        });
    }
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": name,
        "filter_chains": [chain],
    })
}
