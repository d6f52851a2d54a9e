//! Ingresses as a user has them: `axonctl up` with kernel, eBPF and Envoy real, and clients outside that speak HTTP and TLS.
//! The numbers in names are those of the edge cases in docs/compatibility.md. Needs root, an Envoy and curl (`cargo xtask setup`).
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod affinity;
#[path = "../support/certificates.rs"]
mod certificates;
mod curl;
mod cve;
mod floods;
mod grpc;
mod headers;
mod host_network;
mod limits;
mod monitor;
mod passthrough;
mod paths;
mod ports;
mod proxies;
#[path = "../support/random.rs"]
mod random;
mod raw;
mod rotation;
mod routing;
mod scene;
mod shared;
mod shared_passthrough;
mod shared_tls;
mod smuggling;
mod streams;
mod tls;
