//! TLS passthrough at the address of all: beside hosts that other Ingresses serve there, and who wants to serve the same name is told.

use std::fs;

use anyhow::{Result, ensure};
use axoneme_e2e::{
    certificates::tls_secret,
    curl::Request,
    theme::{Place, SOON, Theme, served_by},
    until,
};
use serde_json::{Value, json};

use crate::tls_backend;

const SERVED: &str = "served.shared.example";
const THROUGH: &str = "through.shared.example";

pub(crate) const THEME: Theme = Theme {
    name: "shared-passthrough",
    backends: &[("echo", &[80])],
    manifest: || {
        let (secret, ingress) = (tls_secret("served", &["*.shared.example"])?, ingress("served", SERVED, "echo", 80));
        Ok([secret.to_string(), ingress.to_string()].join("\n---\n"))
    },
    holds: |place| {
        let own = tls_secret("own", &[THROUGH])?;
        tls_backend::start(place, &own)?;
        // A name of its own, although the certificate beside it is for that name, too.
        place.cluster.apply(&place.namespace, &ingress("through", THROUGH, tls_backend::NAME, 443).to_string())?;
        let address = place.address("served")?;
        ensure!(place.address("through")? == address, "not at one address");
        let trusted = tempfile::NamedTempFile::new()?.into_temp_path();
        fs::write(&trusted, own["stringData"]["tls.crt"].as_str().unwrap_or_default())?;
        let passes = || {
            until(&format!("{}: the backend ends TLS itself", place.namespace), SOON, || {
                let url = format!("https://{THROUGH}/");
                let answer = place.cluster.curl(Request::get(&url, &address).trust(&trusted))?;
                tls_backend::answered(place, &answer)
            })
        };
        passes()?;
        is_served(place, &address, SERVED)?;

        // Nobody else gets the name meanwhile, and who wants it reads why. Of two that are born in one second the first by name is older.
        place.cluster.apply(&place.namespace, &ingress("wants", THROUGH, "echo", 80).to_string())?;
        place.event(
            "wants",
            "RouteConflict",
            &format!("{}/through is older and has host {THROUGH}", place.namespace),
        )?;
        passes()?;
        // It takes over when the older one goes: nothing is left of passing through, and our certificate is shown.
        place.kubectl(&["delete", "ingress", "through"])?;
        is_served(place, &address, THROUGH)?;
        is_served(place, &address, SERVED)
    },
};

/// With our certificate, by the Service of the cluster.
fn is_served(place: &Place<'_>, address: &str, host: &str) -> Result<()> {
    let (url, ours) = (format!("https://{host}/"), place.cluster.certificate(&place.namespace, "served")?);
    place.until(Request::get(&url, address).trust(&ours), |answer| served_by("echo", answer, "/")).map(drop)
}

fn ingress(name: &str, host: &str, service: &str, port: u16) -> Value {
    let mut annotations = json!({"ingress.axoneme.io/loadbalancer-mode": "shared"});
    let mut tls = json!([{"hosts": [host], "secretName": "served"}]);
    if service == tls_backend::NAME {
        annotations["ingress.axoneme.io/tls-passthrough"] = json!("enabled");
        tls = json!([]);
    }
    let backend = json!({"service": {"name": service, "port": {"number": port}}});
    let paths = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": "axoneme", "tls": tls, "rules": [{"host": host, "http": paths}]},
    })
}
