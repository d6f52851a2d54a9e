//! The examples of the Kubernetes documentation's page on Ingress. Its examples of classes are the theme `class`, its table of path
//! types is in `path_rules`.

use anyhow::ensure;
use axoneme_e2e::curl::Request;

use crate::{
    host_rules::with_secrets,
    theme::{Theme, served_by},
};

pub(crate) const THEME: Theme = Theme {
    name: "documented",
    backends: &[("test", &[80]), ("service1", &[80, 4200]), ("service2", &[80, 8080]), ("service3", &[80])],
    manifest: || {
        with_secrets(include_str!("manifests/documented.yaml"), &[("testsecret-tls", "https-example.foo.com")])
    },
    holds: |place| {
        place.routes(
            &place.address("minimal-ingress")?,
            &[("", "/testpath", Some("test")), ("any.example", "/testpath/deeper", Some("test")), ("", "/other", None)],
        )?;
        place
            .routes(&place.address("single-service")?, &[("", "/", Some("test")), ("a.example", "/b", Some("test"))])?;
        let fanout = place.address("simple-fanout-example")?;
        place.routes(
            &fanout,
            &[
                ("foo.bar.com", "/foo", Some("service1")),
                ("foo.bar.com", "/bar", Some("service2")),
                ("foo.bar.com", "/", None),
                ("other.bar.com", "/foo", None),
            ],
        )?;
        place.routes(
            &place.address("ingress-wildcard-host")?,
            &[
                ("foo.bar.com", "/bar", Some("service1")),
                ("bar.foo.com", "/foo", Some("service2")),
                ("baz.bar.foo.com", "/foo", None),
                ("foo.com", "/foo", None),
            ],
        )?;
        place.routes(
            &place.address("name-virtual-host-ingress")?,
            &[("foo.bar.com", "/", Some("service1")), ("bar.foo.com", "/", Some("service2")), ("", "/", None)],
        )?;
        place.routes(
            &place.address("no-third-host")?,
            &[
                ("first.bar.com", "/", Some("service1")),
                ("second.bar.com", "/", Some("service2")),
                ("", "/", Some("service3")),
                ("other.example", "/", Some("service3")),
            ],
        )?;

        let secure = place.address("tls-example-ingress")?;
        let trusted = place.cluster.certificate(&place.namespace, "testsecret-tls")?;
        let request = Request::get("https://https-example.foo.com/", &secure).trust(&trusted);
        place.until(request, |answer| served_by("service1", answer, "/"))?;

        // Not served, and its author is told so.
        let resource = place.address("ingress-resource-backend")?;
        for path in ["/icons", "/elsewhere"] {
            let url = format!("http://{resource}{path}");
            place.until(Request::get(&url, &resource), |answer| {
                ensure!(answer.status == 503, "wanted 503");
                Ok(())
            })?;
        }
        place.event("ingress-resource-backend", "Unsupported", "resource")?;

        // "Updating an Ingress": another host.
        let host = r#"[{"op": "add", "path": "/spec/rules/-", "value": {"host": "bar.baz.com", "http": {"paths": [
            {"path": "/foo", "pathType": "Prefix", "backend": {"service": {"name": "service2", "port": {"number": 80}}}}]}}}]"#;
        place.kubectl(&["patch", "ingress", "simple-fanout-example", "--type=json", "-p", host])?;
        place.routes(&fanout, &[("bar.baz.com", "/foo", Some("service2")), ("foo.bar.com", "/foo", Some("service1"))])
    },
};
