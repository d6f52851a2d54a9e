//! An Ingress without rules sends everything to its default backend, whatever the method, host and path; one with rules sends
//! there what no rule matches.

use anyhow::{Context as _, ensure};
use axoneme_e2e::{cluster::NODES, curl::Request};

use crate::theme::{Theme, served_by};

const REQUESTS: [(&str, &str, &str); 6] = [
    ("GET", "my-host", "/"),
    ("GET", "my-host", "/sub-path"),
    ("POST", "some-host", "/"),
    // Without a name: by its address.
    ("PUT", "", "/resource"),
    ("DELETE", "some-host", "/resource"),
    ("PATCH", "my-host", "/resource"),
];

pub(crate) const THEME: Theme = Theme {
    name: "default-backend",
    backends: &[("fallback", &[8080]), ("aaa", &[8080])],
    manifest: || Ok(include_str!("manifests/default-backend.yaml").to_owned()),
    holds: |place| {
        let address = place.address("default-backend")?;
        for (method, host, path) in REQUESTS {
            let host = if host.is_empty() { &address } else { host };
            let url = format!("http://{host}{path}");
            let answer =
                place.until(Request::get(&url, &address).by(method), |answer| served_by("fallback", answer, path))?;
            for name in ["content-length", "content-type", "date", "server"] {
                ensure!(!answer.header(name).is_empty(), "no header {name}: {answer:?}");
            }
        }
        let seen = place.until(Request::get("http://my-host/echo", &address).by("PATCH"), |answer| {
            let seen = answer.seen()?;
            ensure!(seen["method"] == "PATCH" && seen["host"] == "my-host" && seen["path"] == "/echo", "{seen}");
            ensure!(seen["headers"]["user-agent"].as_str().is_some_and(|it| it.starts_with("curl/")), "{seen}");
            Ok(())
        });
        seen.context("what the backend saw")?;

        let service = place.cluster.get_json(&["service", "-n", &place.namespace, "cilium-ingress-default-backend"])?;
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no nodePort")?;
        for node in NODES {
            let node = place.cluster.address(node);
            let url = format!("http://{node}:{port}/");
            place.until(Request::get(&url, &node), |answer| served_by("fallback", answer, "/"))?;
        }

        let rules = [("any.example", "/aaa/x", Some("aaa")), ("any.example", "/ccc", Some("fallback"))];
        place.routes(&place.address("beside-rules")?, &rules)
    },
};
