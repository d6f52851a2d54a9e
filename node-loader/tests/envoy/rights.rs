//! What Envoy must be allowed to do: with no more than the chart gives it, its listeners are transparent.

use std::process::Command;

use axoneme_node::Config;

use crate::{
    lab::{Elsewhere, Intents, Lab, Memory},
    resources::{ROUTER, listener, routes},
};

const CHART: &str = include_str!("../../../charts/axoneme/templates/node.yaml");

/// An Envoy of somebody else's with these capabilities and no others.
fn envoy_with(capabilities: &str, config: &Config) -> Elsewhere {
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--inh-caps=-all", &format!("--bounding-set=-all{capabilities}")]);
    command.arg(axoneme_testnet::envoy().expect("an Envoy"));
    Elsewhere::start_by(command, config)
}

#[tokio::test]
async fn envoy_needs_net_raw_and_nothing_else() {
    // The other one is for listeners with an address of their own below 1024.
    let envoy = CHART.split_once("- name: envoy\n").expect("Envoy's container").1;
    let given = envoy.split_once("capabilities: ").expect("its capabilities").1;
    assert!(given.starts_with("{drop: [ALL], add: [NET_BIND_SERVICE, NET_RAW]}"), "{given}");
    for (name, capabilities, enough) in [("raw", ",+net_raw", true), ("bare", "", false)] {
        let mut intents = Intents::new();
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            run_dir: folder.path().to_owned(),
            cleanup_on_exit: true,
            ..Config::new(format!("rights-{name}"))
        };
        let lab = Lab::start_with(config.clone(), folder, Memory::default(), intents.operator.clone());
        intents.features().await;
        let _envoy = envoy_with(capabilities, &config);
        let listener = listener(&format!("rights-{name}"), "r", ROUTER);
        intents.put(&[listener.clone(), routes("r", "hello")]);
        let outcome = intents.outcome(&listener, false).await;
        if enough {
            assert_eq!(outcome, Ok(()));
        } else {
            let words = outcome.expect_err("a refusal");
            assert!(words.contains("Setting socket options failed"), "{words}");
        }
        lab.stop().await;
    }
}
