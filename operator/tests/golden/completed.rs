//! An Ingress with all that it names: a Service for each backend, and a certificate for each Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use axoneme_operator::local::Local;
use axoneme_operator::model::IngressDefaults;
use axoneme_operator::source::Ingress;
use axoneme_operator::{Engine, Name, yaml};
use serde_json::{Value, json};

use crate::support;

/// What it is for does not matter: nobody shows it to a client here.
static PAIR: LazyLock<[String; 2]> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["any.example".to_owned()]).unwrap();
    [made.cert.pem(), made.signing_key.serialize_pem()]
});

/// An Ingress in a world where nothing is missing.
pub(crate) struct Completed {
    pub(crate) engine: Engine,
    pub(crate) defaults: IngressDefaults,
    name: Name,
}

impl Completed {
    /// Reads the one Ingress of a file of `tests/golden`.
    pub(crate) fn read(file: &str, defaults: IngressDefaults) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let ingress = yaml::parse(&text).unwrap().remove(0).value;
        let meta = |field: &str| ingress["metadata"][field].as_str().unwrap();
        let name = Name::new(meta("namespace"), meta("name"));
        let mut all = vec![ingress.to_string()];
        all.extend(services(&ingress, &name.namespace).map(|service| service.to_string()));
        all.extend(secrets(&ingress, &name.namespace, &defaults).map(|secret| secret.to_string()));
        let folder = support::text(&all.join("\n---\n"));
        let (mut engine, mut local) = (Engine::new().with_defaults(defaults.clone()), Local::new(support::pools()));
        for event in folder.resets() {
            local.drive(&mut engine, event);
        }
        Self { engine, defaults, name }
    }

    pub(crate) fn ingress(&self) -> &Ingress {
        self.engine.index().ingress(&self.name).unwrap()
    }

    /// What the operator says of it, a line each.
    pub(crate) fn problems(&self) -> String {
        let all = self.engine.problems().values().flatten();
        let line = |it: &axoneme_operator::Problem| format!("{:?} {}: {it}\n", it.severity, it.reason.as_str());
        all.map(line).collect()
    }
}

/// The Services of all backends, each with the ports that are asked for.
fn services(ingress: &Value, namespace: &str) -> impl Iterator<Item = Value> {
    let spec = &ingress["spec"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let rules = list(&spec["rules"]);
    let paths = rules.iter().flat_map(|rule| list(&rule["http"]["paths"])).map(|path| path["backend"].clone());
    let mut ports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for backend in paths.chain([spec["defaultBackend"].clone()]).filter(|backend| backend["service"].is_object()) {
        let service = &backend["service"];
        ports.entry(service["name"].as_str().unwrap().to_owned()).or_default().insert(service["port"].to_string());
    }
    ports.into_iter().map(move |(name, ports)| {
        let port = |asked: &String| {
            let asked: Value = serde_json::from_str(asked).unwrap();
            let number = asked["number"].as_u64().unwrap_or(80);
            json!({ "name": asked["name"].as_str().map_or_else(|| format!("port-{number}"), str::to_owned), "port": number })
        };
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "ports": ports.iter().map(port).collect::<Vec<_>>() },
        })
    })
}

/// The Secrets of all certificates, and the default one.
fn secrets(ingress: &Value, namespace: &str, defaults: &IngressDefaults) -> impl Iterator<Item = Value> {
    let named = ingress["spec"]["tls"].as_array().cloned().unwrap_or_default();
    let named = named.iter().filter_map(|tls| tls["secretName"].as_str()).map(|name| Name::new(namespace, name));
    let all: BTreeSet<_> = named.chain(defaults.secret.clone()).collect();
    all.into_iter().map(|Name { namespace, name }| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": &*name, "namespace": &*namespace },
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": PAIR[0], "tls.key": PAIR[1] },
        })
    })
}
