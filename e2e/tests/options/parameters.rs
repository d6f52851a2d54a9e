//! What a class says of its Ingresses: an edit of its ConfigMap reaches those that do not say otherwise, and nonsense reaches none.

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    Answer,
    certificates::tls_secret,
    cluster::NODES,
    curl::Request,
    theme::{Place, SOON, Theme, served_by},
    until,
};
use serde_json::json;

const URL: &str = "http://web.example/";

/// Classes are of the whole cluster: deleted when the theme is over, however it ends.
struct Class<'a>(&'a Place<'a>);

impl Class<'_> {
    fn says(&self, option: &str, value: &str) -> Result<()> {
        let change = json!({"data": {option: value}}).to_string();
        self.0.kubectl(&["patch", "configmap", "defaults", "--type=merge", "-p", &change]).map(drop)
    }
}

impl Drop for Class<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.kubectl(&["delete", "ingressclass", "e2e-parameters", "--ignore-not-found"]) {
            println!("the class is still there: {error:#}");
        }
    }
}

pub(crate) const THEME: Theme = Theme {
    name: "parameters",
    backends: &[("echo", &[80])],
    manifest: || {
        let secret = tls_secret("web", &["web.example"])?.to_string();
        Ok([include_str!("manifests/parameters.yaml"), &secret].join("\n---\n"))
    },
    holds: |place| {
        let class = Class(place);
        let (web, own) = (place.address("web")?, place.address("own")?);
        let is_sent_to_https = |answer: &Answer| {
            ensure!(answer.status == 308, "not sent to https");
            Ok(())
        };
        place.until(Request::get(URL, &web), is_sent_to_https)?;

        class.says("force-https", "false")?;
        place.until(Request::get(URL, &web), |answer| served_by("echo", answer, "/"))?;
        place.until(Request::get(URL, &own), is_sent_to_https)?;

        // Nonsense is told, and what was in force stays.
        class.says("force-https", "perhaps")?;
        place.event("web", "Invalid", "perhaps")?;
        place.until(Request::get(URL, &web), |answer| served_by("echo", answer, "/"))?;

        // What concerns the Service, and with it the status.
        class.says("service-type", "NodePort")?;
        let nodes = NODES.map(|node| place.cluster.address(node));
        until(&format!("{}: the status shows the nodes", place.namespace), SOON, || {
            let ingress = place.cluster.get_json(&["ingress", "-n", &place.namespace, "web"])?;
            let shown = ingress["status"]["loadBalancer"]["ingress"].as_array().context("no status")?;
            let shown = shown.iter().filter_map(|it| it["ip"].as_str()).collect::<Vec<_>>();
            ensure!(shown == nodes, "{shown:?}");
            Ok(())
        })?;
        let service = place.cluster.get_json(&["service", "-n", &place.namespace, "cilium-ingress-web"])?;
        ensure!(service["spec"]["type"] == "NodePort", "{}", service["spec"]);
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no nodePort")?;
        for node in nodes {
            // Without a port in the URL the name would be another virtual host's; hosts are compared without it.
            let url = format!("http://web.example:{port}/");
            place.until(Request::get(&url, &node), |answer| served_by("echo", answer, "/"))?;
        }
        Ok(())
    },
};
