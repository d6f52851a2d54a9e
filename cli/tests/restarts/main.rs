//! What happens to a node in its life, under load: its loader killed and replaced, its Envoy replaced, its operator away, and a
//! reboot. Operator, loader and Envoy are processes and threads of their own, as in Kubernetes; kernel, eBPF and Envoy are real.
//!
//! Needs root and an Envoy (`cargo xtask setup`). The long variants: `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aged;
mod away;
mod envoys;
mod layouts;
mod load;
mod loaders;
mod manifests;
mod operator;
#[path = "../support/random.rs"]
mod random;
mod scene;
mod websocket;
