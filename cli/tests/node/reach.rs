//! Who is answered, and what both ends see of each other.

use axoneme_testnet::{Layout, http::Answer};

use crate::scene::{INGRESS, OTHER, SAME, Scene, frontends};

/// The address in `x-forwarded-for` as the backend saw it, and the client's own.
fn addresses(answer: &Answer) -> (String, String) {
    let saw: serde_json::Value = serde_json::from_str(answer.text()).unwrap_or_else(|_| panic!("{answer:?}"));
    let own: std::net::SocketAddr = answer.response().unwrap().local.parse().unwrap();
    (saw["headers"]["x-forwarded-for"].as_str().unwrap_or_default().to_owned(), own.ip().to_string())
}

fn everyone_is_answered(name: &str, layout: Layout) {
    let scene = Scene::start(name, layout);
    scene.serve_by_nat_too();
    for from in [&*scene.article.node, &scene.article.client, &scene.article.outside] {
        for at in scene.both(INGRESS) {
            for text in ["foo", "bar"] {
                let answer = scene.get(from, at, &format!("/{text}"));
                assert_eq!((answer.status(), answer.text()), (Some(200), text), "{} asks {at}: {answer:?}", from.name);
                assert_eq!(answer.header("server"), "envoy");
            }
            assert_eq!(scene.get(from, at, "/nothing").status(), Some(404));
            assert_eq!(scene.get(from, at, "/foolish").status(), Some(404), "a prefix is one of whole path elements");
            let (told, own) = addresses(&scene.get(from, at, "/foo/echo"));
            assert_eq!(told, own, "the backend is told the client's address");
        }
    }
    // Inside, services and every other address of the Ingress too; outside, of these, the ports of the node's own addresses.
    let status = scene.mesh.status().unwrap();
    for from in [&*scene.article.node, &scene.article.client] {
        for at in [SAME, OTHER].into_iter().flat_map(|redirect| scene.both(redirect)) {
            let answer = scene.get(from, at, "/foo/bar");
            assert_eq!((answer.header("server"), answer.header("x-echo-path")), ("envoy", "/"), "{at}: {answer:?}");
        }
        for at in frontends(&status, INGRESS) {
            assert_eq!(scene.get(from, at, "/foo").text(), "foo", "{} asks {at}", from.name);
        }
    }
    let own = scene.article.node.address.each();
    let node_ports: Vec<_> = frontends(&status, INGRESS).into_iter().filter(|at| own.contains(&at.ip())).collect();
    assert_eq!(node_ports.len(), 2, "{status:#?}");
    for at in node_ports {
        let answer = scene.get(&scene.article.outside, at, "/foo/echo");
        let (told, own) = addresses(&answer);
        assert_eq!((told, answer.header("server")), (own, "envoy"), "{at}: {answer:?}");
    }
}

#[test]
fn everyone_is_answered_with_routed_pods() {
    everyone_is_answered("reach-routed", Layout::Routed);
}

#[test]
fn everyone_is_answered_with_bridged_pods() {
    everyone_is_answered("reach-bridge", Layout::Bridge);
}

#[test]
fn a_pod_is_answered_by_itself_through_the_proxy() {
    for (name, layout) in [("hairpin-routed", Layout::Routed), ("hairpin-bridge", Layout::Bridge)] {
        let scene = Scene::start(name, layout);
        for at in scene.both(INGRESS) {
            let from = &scene.article.backends["foo-app"].pod;
            let answer = scene.get(from, at, "/foo");
            assert_eq!((answer.text(), answer.header("server")), ("foo", "envoy"), "{layout:?}: {answer:?}");
        }
    }
}

#[test]
fn two_services_share_their_traffic() {
    let scene = Scene::start("share", Layout::Routed);
    let answers: Vec<_> =
        scene.both(SAME).into_iter().flat_map(|at| scene.get_many(&scene.article.client, at, "/", 200)).collect();
    let same = answers.iter().filter(|answer| answer.text() == "echo-same-node").count();
    // Five standard deviations of 400 fair coins: wrong once in a million runs.
    assert!((150..=250).contains(&same), "{same} of 400");
    assert!(answers.iter().all(|answer| answer.status() == Some(200)));
}
