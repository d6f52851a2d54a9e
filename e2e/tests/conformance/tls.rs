//! TLS: each name has its own certificate, a wildcard's holds for its names, and plain requests are sent to https.

use anyhow::ensure;
use axoneme_e2e::curl::Request;

use crate::{
    host_rules::with_secrets,
    theme::{Theme, served_by},
};

/// Name, Secret and backend.
const SECURE: [(&str, &str, &str); 3] =
    [("one.example", "one", "one"), ("two.example", "two", "two"), ("any.wild.example", "wild", "one")];

pub(crate) const THEME: Theme = Theme {
    name: "tls",
    backends: &[("one", &[80]), ("two", &[80])],
    manifest: || {
        let secrets = [("one", "one.example"), ("two", "two.example"), ("wild", "*.wild.example")];
        with_secrets(include_str!("manifests/tls.yaml"), &secrets)
    },
    holds: |place| {
        let address = place.address("tls")?;
        for (host, secret, backend) in SECURE {
            let trusted = place.cluster.certificate(&place.namespace, secret)?;
            let url = format!("https://{host}/path");
            place.until(Request::get(&url, &address).trust(&trusted), |answer| served_by(backend, answer, "/path"))?;
            let plain = format!("http://{host}/path?query");
            place.until(Request::get(&plain, &address), |answer| {
                let location = answer.header("location");
                ensure!(answer.status == 308 && location == format!("{url}?query"), "no redirect to https");
                Ok(())
            })?;
        }
        let others = place.cluster.certificate(&place.namespace, "two")?;
        let refused = place.cluster.curl(Request::get("https://one.example/", &address).trust(&others));
        ensure!(refused.is_err(), "one.example is served with a certificate of two.example: {refused:?}");
        place.routes(&address, &[("plain.example", "/", Some("two"))])
    },
};
