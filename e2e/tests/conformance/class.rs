//! Whose an Ingress is: by the class's controller, by the old annotation, by the default class. Others' stay untouched.

use anyhow::{Context as _, ensure};
use axoneme_e2e::until;

use crate::theme::{Place, SOON, Theme};

/// Classes are of the whole cluster: deleted when the theme is over, however it ends.
struct Classes<'a>(&'a Place<'a>);

impl Drop for Classes<'_> {
    fn drop(&mut self) {
        let classes = ["e2e-default", "e2e-external", "e2e-ours"];
        if let Err(error) = self.0.kubectl(&[&["delete", "ingressclass", "--ignore-not-found"], &classes[..]].concat())
        {
            println!("classes are still there: {error:#}");
        }
    }
}

pub(crate) const THEME: Theme = Theme {
    name: "class",
    backends: &[("echo", &[8080])],
    manifest: || Ok(include_str!("manifests/class.yaml").to_owned()),
    holds: |place| {
        let classes = Classes(place);
        // The default class is put in by the API server, which must have seen it before.
        until("the API server knows the default class", SOON, || {
            let probe = ["create", "ingress", "probe", "--default-backend=echo:8080", "--dry-run=server"];
            let class = place.kubectl(&[&probe[..], &["-o", "jsonpath={.spec.ingressClassName}"]].concat())?;
            ensure!(class == "e2e-default", "the class is {class:?}");
            Ok(())
        })?;
        place.cluster.apply(&place.namespace, include_str!("manifests/no-class.yaml"))?;
        let defaulted = place.cluster.get_json(&["ingress", "-n", &place.namespace, "defaulted"])?;
        ensure!(defaulted["spec"]["ingressClassName"] == "e2e-default", "{}", defaulted["spec"]);
        for ours in ["by-class", "by-annotation", "defaulted"] {
            place.routes(&place.address(ours)?, &[("any.example", "/", Some("echo"))])?;
        }
        // Served later, they came later: what was before them had its turn.
        let all = place.cluster.get_json(&["ingress", "-n", &place.namespace])?;
        for theirs in ["no-such-class", "external", "annotated-otherwise"] {
            let mut ingresses = all["items"].as_array().into_iter().flatten();
            let object = ingresses.find(|it| it["metadata"]["name"] == theirs).context(theirs)?;
            let status = &object["status"]["loadBalancer"];
            ensure!(status["ingress"].is_null(), "{theirs} has an address: {status}");
            let service = format!("service/cilium-ingress-{theirs}");
            let made = place.kubectl(&["get", &service, "--ignore-not-found", "-o", "name"])?;
            ensure!(made.is_empty(), "{theirs} is another controller's and has {made}");
        }
        drop(classes);
        Ok(())
    },
};
