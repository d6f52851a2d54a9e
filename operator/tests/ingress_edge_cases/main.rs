//! Edge cases of Ingress as the engine has them, numbered as in the conformance list that `docs/compatibility.md` ends with.
//! Those that need an Envoy to show are in `cli/tests/ingress`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod annotations;
mod certificates;
mod classes;
mod cluster;
mod host_network;
mod local_traffic;
mod ownership;
mod passthrough;
mod proxies;
mod routes;
mod service;
mod shared;
mod shared_certificates;
mod shared_passthrough;
mod shared_sources;
mod status;
mod told;
mod world;
mod writes;
