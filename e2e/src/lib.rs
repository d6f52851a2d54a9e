//! The harness of the end-to-end tests: a real cluster, requests from everywhere in it, and what to look at when one fails.
//!
//! `cargo xtask e2e` starts the cluster, installs the charts and runs the tests; see `e2e/cluster/README.md`.
#![forbid(unsafe_code)]

pub mod ask;
pub mod audit;
pub mod beside;
pub mod certificates;
pub mod cluster;
pub mod curl;
pub mod diagnose;
pub mod objects;
pub mod theme;
pub mod traces;
pub mod wait;

pub use ask::{Answer, From};
pub use beside::beside;
pub use cluster::Cluster;
pub use diagnose::scenario;
pub use wait::until;
