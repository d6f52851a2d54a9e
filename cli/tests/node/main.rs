//! One node as a user runs it: `axonctl up` on the articles' example, with the kernel, eBPF and Envoy all real, beside
//! services by NAT as kube-proxy makes them. Needs root and an Envoy (`cargo xtask setup`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod away;
mod client_address;
mod devices;
mod edits;
mod ends;
mod failures;
mod held;
mod laptop;
mod mistakes;
mod policy;
#[path = "../support/random.rs"]
mod random;
mod reach;
mod scene;
mod switching;
mod ways;
