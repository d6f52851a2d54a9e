//! Hosts: exact ones, with TLS and without, and wildcards, which stand for one label.

use anyhow::Result;
use axoneme_e2e::{certificates::tls_secret, curl::Request};

use crate::theme::{Theme, served_by};

pub(crate) const THEME: Theme = Theme {
    name: "host-rules",
    backends: &[("wildcard-foo-com", &[8080]), ("foo-bar-com", &[8080])],
    manifest: || with_secrets(include_str!("manifests/host-rules.yaml"), &[("foo-bar", "foo.bar.com")]),
    holds: |place| {
        let address = place.address("host-rules")?;
        place.routes(
            &address,
            &[
                ("foo.bar.com", "/", Some("foo-bar-com")),
                ("subdomain.bar.com", "/", None),
                ("bar.foo.com", "/", Some("wildcard-foo-com")),
                ("baz.bar.foo.com", "/", None),
                ("foo.com", "/", None),
            ],
        )?;
        let trusted = place.cluster.certificate(&place.namespace, "foo-bar")?;
        let secure = Request::get("https://foo.bar.com/", &address).trust(&trusted);
        place.until(secure, |answer| served_by("foo-bar-com", answer, "/")).map(drop)
    },
};

/// A manifest, and a Secret for each name and host.
pub(crate) fn with_secrets(manifest: &str, secrets: &[(&str, &str)]) -> Result<String> {
    let mut all = vec![manifest.to_owned()];
    for (name, host) in secrets {
        all.push(tls_secret(name, &[host])?.to_string());
    }
    Ok(all.join("\n---\n"))
}
