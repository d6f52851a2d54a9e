//! What is reviewed: the article's CiliumEnvoyConfig, and one of fifty clusters with two hundred routes.

use std::path::Path;

use axoneme_operator::yaml;
use hyper::body::Bytes;
use serde_json::{Value, json};

/// An AdmissionReview as the API server sends it.
pub(super) struct Review {
    pub(super) name: &'static str,
    pub(super) body: Bytes,
}

pub(super) fn article() -> Review {
    review("the article's config", example())
}

fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/article/cec.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let documents = yaml::parse(&text).unwrap().into_iter().map(|document| document.value);
    documents.into_iter().find(|document| document["kind"] == "CiliumEnvoyConfig").unwrap()
}

pub(super) fn large() -> Review {
    let mut config = example();
    let resources = config["spec"]["resources"].as_array_mut().unwrap();
    let is = |resource: &Value, kind: &str| resource["@type"].as_str().unwrap().ends_with(kind);
    let route = resources.iter_mut().find(|resource| is(resource, "RouteConfiguration")).unwrap();
    let routes = route["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
    let last = routes.remove(0);
    for at in 0..200 {
        routes.push(json!({
            "match": { "prefix": format!("/team-{at}/"), "headers": [{
                "name": "x-version", "string_match": { "safe_regex": { "regex": format!("^v{at}\\.[0-9]+$") } },
            }] },
            "route": { "cluster": format!("app-{}", at % 50), "timeout": "15s", "prefix_rewrite": "/",
                "retry_policy": { "retry_on": "5xx,reset", "num_retries": 2, "per_try_timeout": "3s" } },
            "response_headers_to_add": [{ "header": { "key": "x-team", "value": format!("team-{at}") } }],
        }));
    }
    routes.push(last);
    for at in 0..50 {
        resources.push(json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": format!("app-{at}"),
            "connect_timeout": "2s", "type": "EDS", "lb_policy": "LEAST_REQUEST",
            "eds_cluster_config": { "service_name": format!("cilium-test/app-{at}:80") },
            "circuit_breakers": { "thresholds": [{ "max_connections": 1000, "max_requests": 2000 }] },
            "outlier_detection": { "consecutive_5xx": 5, "interval": "10s", "base_ejection_time": "30s" },
        }));
    }
    review("fifty clusters, two hundred routes", config)
}

fn review(name: &'static str, mut object: Value) -> Review {
    let (group, version, kind) = ("cilium.io", "v2", "CiliumEnvoyConfig");
    let metadata = object["metadata"].clone();
    // What the API server adds before it asks: managed fields are as large as a small object.
    let fields = json!({ "f:spec": { ".": {}, "f:resources": {}, "f:services": {} } });
    let manager =
        json!({ "manager": "kubectl", "operation": "Apply", "apiVersion": "cilium.io/v2", "fieldsV1": fields });
    object["metadata"]["managedFields"] = json!([manager]);
    object["metadata"]["uid"] = json!("6c2d9a53-4a39-4b4f-9f8e-1f3e6a0d7b11");
    let mut old = object.clone();
    old["spec"]["resources"].as_array_mut().unwrap().pop();
    let request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "UPDATE", "dryRun": false,
        "name": metadata["name"], "namespace": metadata["namespace"],
        "kind": { "group": group, "version": version, "kind": kind },
        "resource": { "group": group, "version": version, "resource": "ciliumenvoyconfigs" },
        "userInfo": { "username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"] },
        "object": object, "oldObject": old,
    });
    let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    Review { name, body: serde_json::to_vec(&body).unwrap().into() }
}
