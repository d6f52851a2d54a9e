//! What the bench writes.

use anyhow::Result;
use axoneme_e2e::{Cluster, cluster::labelled_namespace};
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "e2e-bench";
/// Group and version of Ingresses.
pub(crate) const GROUP: &str = "/apis/networking.k8s.io/v1";
/// A class that is nobody's here.
const FOREIGN: &str = "e2e-bench-foreign";

/// Where an Ingress is served.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// At an address of its own.
    Dedicated,
    /// At one address with all others.
    Shared,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::Shared => "shared",
        }
    }
}

/// The backend of all Ingresses, in an empty namespace.
pub(crate) fn prepare(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"])?;
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": FOREIGN},
        "spec": {"controller": "example.com/ingress-controller"},
    });
    let namespace = labelled_namespace(NAMESPACE);
    let manifests = [namespace.to_string(), class.to_string(), include_str!("backend.yaml").to_owned()];
    cluster.apply(NAMESPACE, &manifests.join("\n---\n"))?;
    cluster.ready(NAMESPACE)
}

/// Deletes all of it.
pub(crate) fn remove(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["delete", "ingressclass", FOREIGN])?;
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).map(drop)
}

/// One of ours. In dedicated mode its Service gets no address from MetalLB, whose time is not what is measured: it is asked at its
/// node port.
pub(crate) fn ingress(name: &str, mode: Mode) -> Value {
    object(
        name,
        "axoneme",
        json!({
            "ingress.axoneme.io/loadbalancer-mode": mode.name(),
            "ingress.axoneme.io/loadbalancer-class": "example.com/none",
        }),
    )
}

/// One of ours with a certificate from the Secret of the same name.
pub(crate) fn secure(name: &str, mode: Mode) -> Value {
    let mut object = ingress(name, mode);
    object["spec"]["tls"] = json!([{"hosts": [host(name)], "secretName": name}]);
    object
}

/// One of another class.
pub(crate) fn foreign(name: &str) -> Value {
    object(name, FOREIGN, json!({}))
}

fn object(name: &str, class: &str, annotations: Value) -> Value {
    let backend = json!({"service": {"name": "backend", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": class, "rules": [{"host": host(name), "http": {"paths": [path]}}]},
    })
}

/// The host of an Ingress.
pub(crate) fn host(name: &str) -> String {
    format!("{name}.example")
}
