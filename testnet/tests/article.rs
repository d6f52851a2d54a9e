//! The stage of the articles' example. Needs root.

use std::fs;

use axoneme_testnet::{Layout, article::Article, built, http::Client};

#[test]
fn the_example_is_on_stage() {
    let echo = built("axoneme-echo").unwrap();
    let mut stage = Article::stage("stage", Layout::Bridge, &echo).unwrap();
    let http = Client::new(&echo);
    for (name, port) in [("foo-app", 5678), ("echo-same-node", 8080)] {
        let address = stage.backends[name].pod.address;
        for url in [format!("http://{}:{port}/echo", address.v4), format!("http://[{}]:{port}/echo", address.v6)] {
            let answer = http.get(&stage.client, &url).unwrap();
            assert_eq!(answer.header("x-echo-name"), name, "{answer:?}");
            let own = &answer.response().unwrap().local;
            assert!(answer.text().contains(own.as_str()), "no address is translated between pods: {answer:?}");
        }
    }

    let slices = || fs::read_to_string(stage.folder().join("backends-foo-app.yaml")).unwrap();
    let [v4, v6] = stage.backends["foo-app"].pod.address.each();
    assert!(slices().contains(&format!("- addresses: [\"{v4}\"]")) && slices().contains(&format!("[\"{v6}\"]")));
    stage.publish("foo-app", &[]).unwrap();
    assert_eq!(slices().matches("endpoints: []").count(), 2);
    assert!(stage.publish("foo-app", &["nobody"]).is_err());
    assert!(stage.edit("ingress.yaml", "no such text", "").is_err());

    let folder = stage.folder().to_owned();
    stage.start("more", 80, "more", &["--fail-ratio", "1"]).unwrap();
    let url = format!("http://{}/", stage.backends["more"].pod.address.v4);
    assert_eq!(http.get(&stage.client, &url).unwrap().status(), Some(503));
    drop(stage);
    assert!(!folder.exists());
}
