//! TLS passthrough beside a host that is served: its backend, a server outside of the cluster, has the certificate.

use std::fs;

use anyhow::ensure;
use axoneme_e2e::{
    certificates::tls_secret,
    curl::Request,
    theme::{SOON, Theme, served_by},
    until,
};
use serde_json::{Value, json};

use crate::tls_backend;

pub(crate) const THEME: Theme = Theme {
    name: "passthrough",
    backends: &[("echo", &[80])],
    manifest: || Ok(tls_secret("served", &["served.example"])?.to_string()),
    holds: |place| {
        let cluster = place.cluster;
        // No Secret of the cluster: only its author's.
        let own = tls_secret("own", &["through.example"])?;
        tls_backend::start(place, &own)?;
        cluster.apply(&place.namespace, &ingress().to_string())?;
        let address = place.address("web")?;
        let trusted = tempfile::NamedTempFile::new()?.into_temp_path();
        fs::write(&trusted, own["stringData"]["tls.crt"].as_str().unwrap_or_default())?;
        until(&format!("{}: the backend ends TLS itself", place.namespace), SOON, || {
            let answer = cluster.curl(Request::get("https://through.example/", &address).trust(&trusted))?;
            tls_backend::answered(place, &answer)
        })?;
        place.until(Request::get("http://through.example/", &address), |answer| {
            ensure!(answer.status == 308, "not sent to https");
            Ok(())
        })?;
        let served = cluster.certificate(&place.namespace, "served")?;
        let beside = Request::get("https://served.example/", &address).trust(&served);
        place.until(beside, |answer| served_by("echo", answer, "/")).map(drop)
    },
};

/// Both hosts.
fn ingress() -> Value {
    let path = |service: &str, port: u16| {
        let service = json!({"name": service, "port": {"number": port}});
        json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]})
    };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {"ingress.axoneme.io/tls-passthrough": "through.example"}},
        "spec": {
            "ingressClassName": "axoneme",
            "tls": [{"hosts": ["served.example"], "secretName": "served"}],
            "rules": [
                {"host": "through.example", "http": path(tls_backend::NAME, 443)},
                {"host": "served.example", "http": path("echo", 80)},
            ],
        },
    })
}
