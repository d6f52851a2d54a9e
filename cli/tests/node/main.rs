//! One node as a user runs it: `axonctl up` on the articles' example, with the kernel, eBPF and Envoy all real, beside
//! services by NAT as kube-proxy makes them. Needs root and an Envoy (`cargo xtask setup`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod edits;
mod ends;
mod failures;
mod laptop;
mod mistakes;
mod reach;
mod scene;
