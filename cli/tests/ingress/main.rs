//! Ingresses as a user has them: `axonctl up` with kernel, eBPF and Envoy real, and clients outside that speak HTTP and TLS.
//! The numbers in names are those of the edge cases in docs/compatibility.md. Needs root, an Envoy and curl (`cargo xtask setup`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod certificates;
mod curl;
mod http;
mod rotation;
mod routing;
mod scene;
mod tls;
