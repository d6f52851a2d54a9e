//! Edge cases of CiliumEnvoyConfig, numbered as in the conformance list that `docs/compatibility.md` ends with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod affinity;
mod annotations;
mod build;
mod conflicts;
mod foreign;
mod listeners;
mod names;
mod nodes;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod world;
