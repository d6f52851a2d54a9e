//! The metrics' port with a real Envoy beside it: as Prometheus and the kubelet ask it, and as somebody who looks for Envoy behind it.

use std::{net::Ipv4Addr, process};

use axoneme_node::{Config, EnvoyBinary};

use crate::{
    lab::{Intents, Lab, Memory},
    resources::{FRONTEND, ROUTER, listener, redirect, routes},
    web::get_path,
};

/// As in the chart.
const PORT: u16 = 15_016;

#[tokio::test]
async fn cve_2025_24030_the_metrics_port_tells_of_envoy_and_does_not_lead_to_it() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    // An address that no other run of this test has at the same time.
    let [.., high, low] = process::id().to_be_bytes();
    let at = (Ipv4Addr::new(127, 77, high, low), PORT);
    let config = Config {
        run_dir: folder.path().to_owned(),
        envoy: Some(EnvoyBinary { path: axoneme_testnet::envoy().expect("Envoy"), concurrency: 1 }),
        metrics_address: Some(at.into()),
        cleanup_on_exit: true,
        ..Config::new("node-metrics")
    };
    let lab = Lab::start_with(config, folder, Memory::default(), intents.operator.clone());
    let set = [listener("metrics", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "metrics", FRONTEND)];
    intents.put(&set);
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));

    let told = get_path(at, "/metrics").await;
    for line in [
        "axoneme_node_envoy_connected 1",
        "axoneme_node_redirect_connections_total{service=\"default/web:80\",reason=\"taken\"} 1",
    ] {
        assert!(told.lines().any(|it| it == line), "no {line} in {told}");
    }
    // As Prometheus wants names: those of sums end alike, and no others do.
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a kind");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        assert!(name.starts_with("axoneme_node_"), "{line}");
    }
    assert!(get_path(at, "/readyz").await.starts_with("HTTP/1.1 200 OK"));
    // What Envoy's own interface would answer, and do.
    for path in ["/", "/config_dump", "/certs", "/stats/prometheus", "/quitquitquit", "/metrics/../config_dump"] {
        assert!(get_path(at, path).await.starts_with("HTTP/1.1 404 Not Found"), "{path}");
    }
    assert!(get_path(at, "/metrics").await.contains("\naxoneme_node_envoy_connected 1\n"));
    lab.stop().await;
}
