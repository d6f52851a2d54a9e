//! Mistakes are named, and everything else goes on being served.

use axoneme_testnet::{Layout, article::Article};

use crate::scene::{INGRESS, SAME, Scene};

/// What can be wrong in the CiliumEnvoyConfig: what a user wrote, what stands there then, and what must be said of it.
const WRONG: [(&str, &str, &[&str]); 5] = [
    (
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "type.googleapis.com/envoy.config.route.v3.Nonsense",
        &["spec.resources[1]", "envoy.config.route.v3.Nonsense"],
    ),
    (
        "num_retries: 3",
        "number_of_retries: 3",
        &["spec.resources[1].virtual_hosts[0].routes[0].route.retry_policy.number_of_retries"],
    ),
    (
        "name: envoy-lb-listener\n    filter_chains:",
        "name: envoy-lb-listener\n    address: {socket_address: {address: 127.0.0.1, port_value: 70000}}\n    filter_chains:",
        &["spec.resources[0].address.socket_address.port_value", "70000"],
    ),
    (
        "- name: echo-same-node\n    namespace: cilium-test\n  resources",
        "- name: echo-same-node\n    ports: [70000]\n  resources",
        &["spec.services[1].ports[0]", "70000"],
    ),
    ("connect_timeout: 5s", "connect_timeout: soon", &["spec.resources[2].connect_timeout", "soon"]),
];

/// An Ingress of which one half leads nowhere.
fn nobody(article: &Article) -> String {
    let text = std::fs::read_to_string(article.folder().join("ingress.yaml")).unwrap();
    text.replace("name: cilium-ingress", "name: nobody").replace("foo-app", "nobody-app")
}

const NOBODY: &str = "default/cilium-ingress-nobody:80";

fn all_is_well(scene: &Scene) {
    let (outside, pod) = (&scene.article.outside, &scene.article.client);
    for at in scene.both(INGRESS) {
        assert_eq!(scene.get(outside, at, "/foo").text(), "foo");
        assert_eq!(scene.get(outside, at, "/bar").text(), "bar");
    }
    for at in scene.both(SAME) {
        assert_eq!(scene.get(pod, at, "/foo").header("x-echo-path"), "/");
    }
}

#[test]
fn mistakes_are_named_and_harm_nothing_else() {
    let mut scene = Scene::start("mistakes", Layout::Routed);

    scene.article.write("broken.yaml", "kind: Ingress\n  metadata: [\n").unwrap();
    scene.says(&["broken.yaml:2", "error"]);
    all_is_well(&scene);

    for (right, wrong, said) in WRONG {
        scene.article.edit("cec.yaml", right, wrong).unwrap();
        let place = ["cec.yaml", "error", "CiliumEnvoyConfig cilium-test/envoy-lb-listener"];
        scene.says(&[&place, said].concat());
        all_is_well(&scene);
        scene.article.edit("cec.yaml", wrong, right).unwrap();
    }

    scene.article.write("nobody.yaml", &nobody(&scene.article)).unwrap();
    scene.says(&[
        "nobody.yaml",
        "Ingress default/nobody",
        "spec.rules[0].http.paths[0].backend.service.name",
        "Service default/nobody-app does not exist",
    ]);
    all_is_well(&scene);
    scene.wait_for(&[NOBODY]);
    for at in scene.both(NOBODY) {
        assert_eq!(scene.get(&scene.article.outside, at, "/foo").status(), Some(503));
        assert_eq!(scene.get(&scene.article.outside, at, "/bar").text(), "bar", "the half that leads somewhere");
    }

    // After all of it the folder is still followed.
    scene.article.edit("ingress.yaml", "path: /bar", "path: /rab").unwrap();
    scene.until(&scene.article.outside, scene.at(INGRESS, true), "/rab", |answer| answer.text() == "bar");
}

#[test]
fn mistakes_that_are_there_from_the_start_harm_nothing_else() {
    let (wrong, said) = (WRONG[1], WRONG[1].2);
    let mut scene = Scene::start_with("mistaken", Layout::Bridge, &[INGRESS, NOBODY], |article| {
        article.write("broken.yaml", "kind: Ingress\n  metadata: [\n")?;
        article.write("nobody.yaml", &nobody(article))?;
        article.edit("cec.yaml", wrong.0, wrong.1)
    });
    scene.says(&["broken.yaml:2", "error"]);
    scene.says(&["nobody.yaml", "nobody-app"]);
    scene.says(&[&["cec.yaml"], said].concat());
    assert_eq!(scene.get(&scene.article.outside, scene.at(INGRESS, false), "/foo").text(), "foo");

    scene.article.edit("cec.yaml", wrong.1, wrong.0).unwrap();
    scene.wait_for(&[SAME]);
    all_is_well(&scene);
}
