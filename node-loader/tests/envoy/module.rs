//! The module: Envoy finds it where the loader puts it, and the operator hears whether it does.

use axoneme_hostkey::{FILTER, MODULE, SHARDS};
use axoneme_node::{Config, EnvoyBinary, UseModule};
use axoneme_xds::{Resource, type_urls::LISTENER};

use crate::{
    lab::{Elsewhere, Intents, Lab, Memory},
    resources::{ROUTER, any, field, routes, web_of},
};

/// A listener whose first filter is the module.
fn listener(name: &str) -> Resource {
    let number = [field(1, "type.googleapis.com/google.protobuf.StringValue"), field(2, field(1, SHARDS.to_string()))];
    let config = [field(1, field(1, MODULE)), field(2, FILTER), field(3, number.concat())].concat();
    let module = [field(1, FILTER), field(4, any("http.dynamic_modules.v3.DynamicModuleFilter", config))].concat();
    let router = [field(1, "router"), field(4, any(ROUTER, ""))].concat();
    let web = web_of("r", &[module, router]);
    Resource::new(LISTENER, name, [field(1, name), field(3, field(3, web))].concat())
}

fn config(run_dir: &std::path::Path, name: &str) -> Config {
    let envoy = EnvoyBinary { path: axoneme_testnet::envoy().expect("Envoy"), concurrency: 1 };
    Config { run_dir: run_dir.to_owned(), envoy: Some(envoy), cleanup_on_exit: true, ..Config::new(name) }
}

#[tokio::test]
async fn envoy_loads_the_module_that_the_loader_carries() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "node-1");
    let modules = config.modules_dir();
    let lab = Lab::start_with(config, folder, Memory::default(), intents.operator.clone());
    let listener = listener("with-module");
    intents.put(&[listener.clone(), routes("r", "hello")]);
    assert_eq!(intents.outcome(&listener, false).await, Ok(()));
    assert_eq!(intents.features().await, ["io.axoneme.hostkey"]);
    lab.stop().await;
    assert!(!modules.exists(), "it is left behind");
}

#[tokio::test]
async fn switched_off_envoy_does_not_find_it() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { envoy_module: UseModule::Off, ..config(folder.path(), "node-1") };
    let lab = Lab::start_with(config, folder, Memory::default(), intents.operator.clone());
    assert!(intents.features().await.is_empty());
    let listener = listener("without-module");
    intents.put(&[listener.clone(), routes("r", "hello")]);
    let refusal = intents.outcome(&listener, false).await.expect_err("a refusal");
    assert!(refusal.contains("dynamic module"), "{refusal}");
    lab.stop().await;
}

/// Somebody runs Envoy who does not tell it where to look.
#[tokio::test]
async fn the_operator_hears_when_envoy_does_not_find_it() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { envoy: None, ..config(folder.path(), "node-1") };
    let elsewhere = config.clone();
    let lab = Lab::start_with(config, folder, Memory::default(), intents.operator.clone());
    assert_eq!(intents.features().await, ["io.axoneme.hostkey"]);
    let _envoy = Elsewhere::start(&elsewhere);
    let listener = listener("lost-module");
    intents.put(&[listener.clone(), routes("r", "hello")]);
    intents.outcome(&listener, false).await.expect_err("a refusal");
    assert!(intents.features().await.is_empty());
    lab.stop().await;
}
