//! The crate as its users see it: whole objects in, reports or resources out, and the real Envoy as the judge.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod balance;
mod envoy;
mod objects;

use serde_json::Value;

/// The resources in `data/<name>.yaml`, a list as in `spec.resources`.
fn load(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/it/data/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}
