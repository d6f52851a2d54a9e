//! `externalTrafficPolicy: Local`: load balancers ask kube-proxy which nodes have an endpoint, and every node does.

use anyhow::{Context as _, ensure};
use axoneme_e2e::{
    cluster::NODES,
    curl::Request,
    theme::{SOON, Theme, ingress},
    until,
};
use serde_json::{Value, json};

pub(crate) const THEME: Theme = Theme {
    name: "local-traffic",
    backends: &[("echo", &[80])],
    manifest: || Ok(ingress("web", "echo", &json!({"ingress.axoneme.io/service-external-traffic-policy": "Local"}))),
    holds: |place| {
        // Which is also to say that MetalLB lets some node announce the address.
        place.routes(&place.address("web")?, &[("a.example", "/", Some("echo"))])?;
        let cluster = place.cluster;
        let service = cluster.get_json(&["service", "-n", &place.namespace, "cilium-ingress-web"])?;
        let port = service["spec"]["healthCheckNodePort"].as_u64().context("no healthCheckNodePort")?;
        for node in NODES {
            let address = cluster.address(node);
            until(&format!("{}: kube-proxy says that {node} is healthy", place.namespace), SOON, || {
                let answer = cluster.curl(Request::get(&format!("http://{address}:{port}/"), &address))?;
                let told: Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
                ensure!(answer.status == 200 && told["localEndpoints"] == 1, "{answer:?}");
                Ok(())
            })?;
        }
        Ok(())
    },
};
