//! Paths: exact ones, prefixes by path element, which of several matches. And the table of the documentation, row by row.

use serde_json::json;

use crate::theme::Theme;

pub(crate) const RULES: Theme = Theme {
    name: "path-rules",
    backends: &[
        ("foo-exact", &[8080]),
        ("foo-prefix", &[8080]),
        ("aaa", &[8080]),
        ("aaa-bbb", &[8080]),
        ("aaa-bbb-slash", &[8080]),
        ("foo-slash", &[8080]),
    ],
    manifest: || Ok(include_str!("manifests/path-rules.yaml").to_owned()),
    holds: |place| {
        place.routes(
            &place.address("path-rules")?,
            &[
                ("exact", "/foo", Some("foo-exact")),
                ("exact", "/foo/", None),
                ("exact", "/FOO", None),
                ("exact", "/bar", None),
                ("prefix", "/foo", Some("foo-prefix")),
                ("prefix", "/foo/", Some("foo-prefix")),
                ("prefix", "/FOO", None),
                ("prefix", "/aaa/bbb", Some("aaa-bbb")),
                ("prefix", "/aaa/bbb/ccc", Some("aaa-bbb")),
                ("prefix", "/aaa/ccc", Some("aaa")),
                ("prefix", "/aaaccc", None),
                ("mixed", "/foo", Some("foo-exact")),
                ("mixed", "/foo/", Some("foo-prefix")),
                ("trailing-slash", "/aaa/bbb", Some("aaa-bbb-slash")),
                ("trailing-slash", "/aaa/bbb/", Some("aaa-bbb-slash")),
                ("trailing-slash", "/foo/", Some("foo-slash")),
                ("trailing-slash", "/foo", None),
            ],
        )
    },
};

/// A row of the table: paths with their types, a request, and which of the paths serves it.
type Row = (&'static [(&'static str, &'static str)], &'static str, Option<usize>);

const ROWS: [Row; 18] = [
    (&[("Prefix", "/")], "/any/path/at/all", Some(0)),
    (&[("Exact", "/foo")], "/foo", Some(0)),
    (&[("Exact", "/foo")], "/bar", None),
    (&[("Exact", "/foo")], "/foo/", None),
    (&[("Exact", "/foo/")], "/foo", None),
    (&[("Prefix", "/foo")], "/foo", Some(0)),
    (&[("Prefix", "/foo")], "/foo/", Some(0)),
    (&[("Prefix", "/foo/")], "/foo", Some(0)),
    (&[("Prefix", "/foo/")], "/foo/", Some(0)),
    (&[("Prefix", "/aaa/bb")], "/aaa/bbb", None),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbb", Some(0)),
    (&[("Prefix", "/aaa/bbb/")], "/aaa/bbb", Some(0)),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbb/ccc", Some(0)),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbbxyz", None),
    (&[("Prefix", "/"), ("Prefix", "/aaa")], "/aaa/ccc", Some(1)),
    (&[("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/aaa/bbb", Some(2)),
    (&[("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/ccc", Some(0)),
    (&[("Prefix", "/foo"), ("Exact", "/foo")], "/foo", Some(1)),
];

const SERVICES: [&str; 3] = ["first", "second", "third"];

/// `/aaa` does not match `/ccc`: the last row but one of the documentation, where the default backend answers, is the theme
/// `default-backend`'s.
pub(crate) const TABLE: Theme = Theme {
    name: "path-table",
    backends: &[("first", &[80]), ("second", &[80]), ("third", &[80])],
    manifest: || {
        let rule = |(row, (paths, ..)): (usize, &Row)| {
            let path = |((kind, path), service): (&(&str, &str), &str)| {
                let backend = json!({"service": {"name": service, "port": {"number": 80}}});
                json!({"path": path, "pathType": kind, "backend": backend})
            };
            let paths = paths.iter().zip(SERVICES).map(path).collect::<Vec<_>>();
            json!({"host": host(row), "http": {"paths": paths}})
        };
        let rules = ROWS.iter().enumerate().map(rule).collect::<Vec<_>>();
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "table"},
            "spec": {"ingressClassName": "@CLASS@", "rules": rules},
        });
        Ok(ingress.to_string())
    },
    holds: |place| {
        let hosts = (0..ROWS.len()).map(host).collect::<Vec<_>>();
        let case = |((_, request, winner), host): (&Row, _)| (host, *request, winner.map(|index| SERVICES[index]));
        let cases = ROWS.iter().zip(hosts.iter().map(String::as_str)).map(case).collect::<Vec<_>>();
        place.routes(&place.address("table")?, &cases)
    },
};

fn host(row: usize) -> String {
    format!("row-{row}.example")
}
