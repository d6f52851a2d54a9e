//! An Ingress goes to another class and comes back: what was made for it goes, its status is taken back once, and all of it is
//! there again.

use anyhow::ensure;
use axoneme_e2e::{
    theme::{Place, SOON, Theme, ingress},
    until,
};
use serde_json::json;

pub(crate) const THEME: Theme = Theme {
    name: "ownership",
    backends: &[("echo", &[80])],
    manifest: || Ok(ingress("web", "echo", &json!({}))),
    holds: |place| {
        let is_served = |place: &Place<'_>| place.routes(&place.address("web")?, &[("a.example", "/", Some("echo"))]);
        let gives_to = |class: &str| {
            let change = json!({"spec": {"ingressClassName": class}}).to_string();
            place.kubectl(&["patch", "ingress", "web", "--type=merge", "-p", &change])
        };
        is_served(place)?;

        let mark = place.cluster.audit_mark()?;
        gives_to("e2e-of-somebody-else")?;
        until(&format!("{}: nothing is made for it any more", place.namespace), SOON, || {
            let ingress = place.cluster.get_json(&["ingress", "-n", &place.namespace, "web"])?;
            ensure!(ingress["status"]["loadBalancer"]["ingress"].is_null(), "{}", ingress["status"]);
            let made = "services,endpointslices";
            let made = place.kubectl(&["get", made, "-l", "cilium.io/ingress=true", "-o", "name"])?;
            ensure!(made.is_empty(), "{made}");
            Ok(())
        })?;
        gives_to("axoneme")?;
        is_served(place)?;

        let ours = format!(" {}/web", place.namespace);
        let written = place.cluster.written_since(mark)?;
        let statuses = written.iter().filter(|it| it.contains("ingresses/status") && it.ends_with(&ours)).count();
        ensure!(statuses == 2, "taken back once and written once, but {statuses} writes: {written:#?}");
        Ok(())
    },
};
