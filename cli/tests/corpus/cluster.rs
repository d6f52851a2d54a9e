//! What a cluster adds to the manifests of a case: EndpointSlices of Services with a selector, as Kubernetes writes them;
//! Secrets of Certificates, as cert-manager does; Secrets of Bundles of authorities, as trust-manager does.

use std::{collections::BTreeMap, fs, path::Path};

use axoneme_operator::yaml;
use axoneme_testnet::Dual;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    case::{CORPUS, Case},
    certificates::{Authority, Pair},
};

/// A pod of `pods.yaml`, and where it runs.
pub(crate) struct Pod {
    pub(crate) name: String,
    labels: BTreeMap<String, String>,
    /// Port numbers by name.
    ports: BTreeMap<String, u64>,
    pub(crate) address: Option<Dual>,
}

/// The pods, not yet running.
pub(crate) fn pods() -> Vec<Pod> {
    let text = fs::read_to_string(Path::new(CORPUS).join("pods.yaml")).unwrap();
    let pod = |value: &Value| Pod {
        name: value["metadata"]["name"].as_str().unwrap().to_owned(),
        labels: serde_json::from_value(value["metadata"]["labels"].clone()).unwrap(),
        ports: list(&value["spec"]["containers"][0]["ports"])
            .map(|port| (port["name"].as_str().unwrap().to_owned(), port["containerPort"].as_u64().unwrap()))
            .collect(),
        address: None,
    };
    yaml::parse(&text).unwrap().iter().map(|document| pod(&document.value)).collect()
}

/// What is added to one case.
#[derive(Default)]
pub(crate) struct Added {
    /// YAML.
    pub(crate) manifests: String,
    /// Certificates by Secret.
    pub(crate) pairs: BTreeMap<String, Pair>,
}

/// Looks at every manifest of a case.
pub(crate) fn added(case: &Case, pods: &[Pod], authority: &Authority) -> Added {
    let (mut objects, mut pairs) = (Vec::new(), BTreeMap::new());
    for document in &case.documents {
        let spec = &document["spec"];
        match document["kind"].as_str().unwrap_or_default() {
            "Service" if spec["selector"].is_object() => objects.extend(slices(document, pods)),
            "Certificate" => {
                let names: Vec<String> = serde_json::from_value(spec["dnsNames"].clone()).unwrap();
                let (name, pair) = (spec["secretName"].as_str().unwrap(), authority.sign(&names));
                let data = [("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &authority.pem)];
                objects.push(secret(&document["metadata"]["namespace"], name, "kubernetes.io/tls", &data));
                pairs.insert(name.to_owned(), pair);
            }
            "Bundle" => {
                let (name, key) = (&document["metadata"]["name"], spec["target"]["secret"]["key"].as_str().unwrap());
                let data = [(key, &authority.pem)];
                objects.push(secret(&case.namespace.as_str().into(), name.as_str().unwrap(), "Opaque", &data));
            }
            _ => {}
        }
    }
    // JSON is YAML.
    let manifests = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    Added { manifests, pairs }
}

fn secret(namespace: &Value, name: &str, kind: &str, data: &[(&str, &String)]) -> Value {
    let data: BTreeMap<_, _> = data.iter().map(|(key, text)| (key, BASE64_STANDARD.encode(text))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": kind,
        "data": data,
    })
}

/// One slice for each family of the Service: IPv4 alone unless it asks for both.
fn slices(service: &Value, pods: &[Pod]) -> Vec<Value> {
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let name = metadata["name"].as_str().unwrap();
    let selector: BTreeMap<String, String> = serde_json::from_value(spec["selector"].clone()).unwrap();
    let selected: Vec<_> =
        pods.iter().filter(|pod| selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))).collect();
    let ports: Vec<_> = list(&spec["ports"]).map(|port| slice_port(port, selected.first().copied())).collect();
    let is_dual = spec["ipFamilyPolicy"].as_str().is_some_and(|policy| policy.ends_with("DualStack"));
    let slice = |(at, family): (usize, &str)| {
        let endpoint = |pod: &&Pod| {
            json!({
                "addresses": [pod.address.map(|address| address.each()[at].to_string())],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "local",
                "targetRef": {"kind": "Pod", "name": pod.name, "uid": format!("00000000-{}", pod.name)},
            })
        };
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-{}", family.to_lowercase()),
                "namespace": metadata["namespace"],
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": family,
            "endpoints": selected.iter().map(endpoint).collect::<Vec<_>>(),
            "ports": ports,
        })
    };
    [(0, "IPv4"), (1, "IPv6")].into_iter().filter(|(at, _)| *at == 0 || is_dual).map(slice).collect()
}

/// A port of a Service as a slice has it: by number, or by the name that the pods give to it.
fn slice_port(port: &Value, pod: Option<&Pod>) -> Value {
    let target = match &port["targetPort"] {
        Value::String(name) => pod.and_then(|pod| pod.ports.get(name)).copied(),
        Value::Null => port["port"].as_u64(),
        number => number.as_u64(),
    };
    json!({"name": port["name"].as_str().unwrap_or_default(), "port": target, "protocol": "TCP"})
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
