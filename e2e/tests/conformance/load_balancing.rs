//! All pods of a Service are used, also those that come later.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use axoneme_e2e::{From, until};

use crate::theme::{SOON, Theme};

const PODS: usize = 10;

pub(crate) const THEME: Theme = Theme {
    name: "load-balancing",
    backends: &[("echo", &[8080])],
    manifest: || Ok(include_str!("manifests/load-balancing.yaml").to_owned()),
    holds: |place| {
        let address = place.address("load-balancing")?;
        place.routes(&address, &[("load-balancing", "/", Some("echo"))])?;
        place.kubectl(&["scale", "deployment/backends", &format!("--replicas={PODS}")])?;
        place.ready()?;
        until(&format!("{}: {PODS} pods answer", place.namespace), SOON, || {
            let mut pods = BTreeSet::new();
            for answer in place.cluster.ask_many(From::Outside, &format!("http://{address}/"), 100)? {
                let answer = answer.context("a request failed")?;
                ensure!(answer.status == 200, "{answer:?}");
                pods.insert(answer.header("x-echo-name").to_owned());
            }
            ensure!(pods.len() == PODS, "{pods:?}");
            Ok(())
        })
    },
};
