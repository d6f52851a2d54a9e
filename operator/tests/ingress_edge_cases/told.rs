//! 16, and each thing that is ignored, refused or lost: it is told once, and so is its end.

use axoneme_operator::{Kind, ObjectKey};

use crate::cluster::Cluster;
use crate::world::{PATH, World, ingress, rule};

fn backend(backend: &str) -> String {
    format!("rules: [{{host: a.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{{backend}}}}}]}}}}]")
}

fn path(fields: &str) -> String {
    format!(
        "rules: [{{host: a.example, http: {{paths: [{{{fields}, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]"
    )
}

#[test]
fn edge_16_what_is_not_served_is_told_once_with_its_field() {
    let fine = format!("rules: [{}]", rule("a.example"));
    let cases = [
        (
            backend("resource: {apiGroup: x, kind: Bucket, name: b}"),
            "Unsupported",
            "spec.rules[0].http.paths[0].backend.resource",
        ),
        (backend(""), "Invalid", "spec.rules[0].http.paths[0].backend"),
        (
            backend("service: {name: gone, port: {number: 80}}"),
            "ServiceNotFound",
            "spec.rules[0].http.paths[0].backend.service.name",
        ),
        (
            backend("service: {name: web, port: {name: other}}"),
            "PortNotFound",
            "spec.rules[0].http.paths[0].backend.service.port",
        ),
        (path("path: /, pathType: \"\""), "Invalid", "spec.rules[0].http.paths[0].pathType"),
        (path("path: /, pathType: Suffix"), "Invalid", "spec.rules[0].http.paths[0].pathType"),
        (path("path: relative, pathType: Prefix"), "Invalid", "spec.rules[0].http.paths[0].path"),
        (format!("rules: [{{host: a_b, http: {{paths: [{PATH}]}}}}]"), "Invalid", "spec.rules[0].host"),
        ("rules: [{host: a.example}]".to_owned(), "Unsupported", "spec.rules[0]"),
        (
            format!("rules: [{{host: a.example, http: {{paths: [{PATH}, {PATH}]}}}}]"),
            "Conflict",
            "spec.rules[0].http.paths[1]",
        ),
        (format!("tls: [{{hosts: [a.example]}}], {fine}"), "Invalid", "spec.tls[0]"),
        (format!("tls: [{{hosts: [a.example], secretName: gone}}], {fine}"), "ResourceNotFound", "spec.tls[0]"),
    ];
    for (spec, reason, field) in cases {
        let mut cluster = Cluster::new(&ingress("", &fine));
        let look = |cluster: &mut Cluster| {
            let problems = std::mem::take(&mut cluster.told).problems;
            let mine = problems.into_iter().find(|(object, _)| *object == ObjectKey::new(Kind::Ingress, "shop", "web"));
            let change = mine.map(|(_, change)| change).unwrap_or_default();
            let short = |problem: &axoneme_operator::Problem| (problem.reason.as_str(), problem.field.clone());
            let (added, cleared) =
                (change.added.iter().map(short).collect(), change.cleared.iter().map(short).collect());
            (added, cleared)
        };
        let nothing: (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
        assert_eq!(look(&mut cluster), nothing, "{spec}");
        cluster.apply(&ingress("", &spec));
        // Nobody looked for the Secret yet.
        cluster.delete(Kind::Secret, "shop", "gone");
        let told = [(reason, field.to_owned())];
        let (added, cleared) = look(&mut cluster);
        let of_field = |all: Vec<(&'static str, String)>| -> Vec<_> {
            all.into_iter().filter(|(_, at)| at.starts_with(field)).collect()
        };
        assert_eq!((of_field(added).len(), cleared), (1, Vec::new()), "{spec}");
        // Another edit, and a watch that begins anew: nothing is told again.
        cluster.apply(&ingress("metallb.io/address-pool: green", &spec));
        cluster.relist();
        assert_eq!(look(&mut cluster), nothing, "{spec}");
        cluster.apply(&ingress("", &fine));
        let (added, cleared) = look(&mut cluster);
        assert_eq!(
            (added, of_field(cleared).into_iter().map(|(reason, _)| reason).collect::<Vec<_>>()),
            (Vec::new(), vec![told[0].0])
        );
    }
}

#[test]
fn edge_16_the_default_backend_answers_what_rules_leave_open_also_under_tls() {
    let default = "defaultBackend: {service: {name: web, port: {name: http}}}";
    let narrow = "{host: a.example, http: {paths: [{path: /x, pathType: Exact, backend: {service: {name: web, port: {number: 80}}}}]}}";
    let spec = format!("{default}, tls: [{{hosts: [a.example, b.example], secretName: cert}}], rules: [{narrow}]");
    let world = World::new(&[ingress("", &spec), crate::world::secret("shop", "cert")].concat());
    assert_eq!(world.problems(), Vec::<String>::new());
    assert_eq!(world.certificates().len(), 2);
    for (host, first) in [("a.example", "/x"), ("*", "/")] {
        let routes = world.routes("listener-secure", host);
        let matched = |route: &serde_json::Value| {
            let it = &route["match"];
            it["path"].as_str().or(it["prefix"].as_str()).unwrap_or_default().to_owned()
        };
        assert_eq!(
            (matched(&routes[0]), matched(routes.last().unwrap())),
            (first.to_owned(), "/".to_owned()),
            "{host}"
        );
    }
}
