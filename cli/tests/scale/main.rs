//! `axonctl up` with much to do: a thousand configs of which one is wrong, and hundreds of edits under load. Kernel, eBPF and
//! Envoy are real. Needs root and an Envoy (`cargo xtask setup`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/certificates.rs"]
mod certificates;
mod edits;
mod kept;
mod load;

mod log;
mod neighbours;
#[path = "../support/random.rs"]
mod random;
mod stage;
mod street;
mod thousand;
mod world;
