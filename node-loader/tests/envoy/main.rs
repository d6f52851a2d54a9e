//! A node with a real Envoy, an operator in memory, and a kernel that is only pretended.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`, and `NET_ADMIN`: listeners are transparent.

#![expect(clippy::expect_used, clippy::panic, reason = "what a test waits for and does not get is its failure")]

mod edge_11;
mod lab;
mod metrics;
mod module;
mod ports;
mod resources;
mod rights;
mod web;

use std::{net::TcpStream, time::Duration};

use axoneme_node::{datapath::FrontendState, status};
use axoneme_xds::{Resource, type_urls::CLUSTER};
use tokio::time::timeout;

use lab::{Intents, Lab, Memory, SOON};
use resources::{FRONTEND, ROUTER, field, listener, redirect, routes};
use web::get;

// Nodes of one network namespace look for ports in the same range: each test has listener names of its own, and so ports.

#[tokio::test]
async fn intents_become_a_serving_listener_and_go_away_again() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    let set = [listener("l", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "l", FRONTEND)];
    intents.put(&set);
    let port = lab.port("l").await;
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    assert!(get(("::1", port)).await.ends_with("hello"));
    for resource in &set {
        // The order in which they are settled is of no interest here.
        assert!(lab.folder.path().join("state").exists(), "{}", resource.name);
    }
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let entry = lab.entry(FRONTEND).expect("an entry");
    assert_eq!((entry.proxy_port, entry.state), (port, FrontendState::On));

    // An edit is served by the same listener.
    let edited = routes("r", "goodbye");
    intents.put(std::slice::from_ref(&edited));
    assert_eq!(intents.outcome(&edited, false).await, Ok(()));
    assert!(get(("127.0.0.1", port)).await.ends_with("goodbye"));

    // What Envoy refuses comes back in its words and harms nobody.
    let (bad, worse) =
        (listener("bad", "r", "http.nonsense.v3.Nonsense"), listener("l", "r", "http.nonsense.v3.Nonsense"));
    intents.put(&[bad.clone(), worse.clone(), Resource::new(CLUSTER, "c", field(1, "c"))]);
    let refusal = intents.outcome(&bad, false).await.expect_err("a refusal");
    assert!(refusal.contains("Nonsense") || refusal.contains("router"), "{refusal}");
    intents.outcome(&worse, false).await.expect_err("a refusal");
    assert!(get(("127.0.0.1", port)).await.ends_with("goodbye"));

    let status = status::fetch(&lab.folder.path().join("status.sock")).await.expect("a status");
    assert!(status.operator.connected && status.summary.envoy_connected);
    assert_eq!(status.summary.rejections.len(), 2);
    assert_eq!(status.summary.redirects[0].owner, "Ingress default/web");
    assert!(status.summary.redirects[0].frontends[0].on);

    intents.remove(&[bad, worse, edited, set[2].clone()]);
    assert_eq!(intents.outcome(&set[0], true).await, Ok(()));
    assert_eq!(lab.entry(FRONTEND), None);
    // Envoy's workers close their sockets just after it agreed.
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, closed).await.expect("a closed port");
    let (folder, _) = lab.stop().await;
    assert!(!folder.path().join("state").exists() && !folder.path().join("xds.sock").exists());
}
