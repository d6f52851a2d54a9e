//! The per-node loader: eBPF, proxy ports and the local xDS stream of a plain Envoy.
//!
//! It knows the kernel and nothing of Kubernetes. [`run()`] takes intents from the operator, lets [`reconcile`] decide, offers
//! resources to Envoy over a Unix socket ([`ads`]) and moves addresses in the kernel ([`datapath`], [`kernel`]).

mod admin;
pub mod ads;
pub mod config;
pub mod datapath;
pub mod envoy_module;
pub mod envoy_process;
pub mod event;
mod http;
mod intents;
pub mod kernel;
pub mod layout;
pub mod listener;
mod mentions;
pub mod metrics;
pub mod monitor;
mod pacing;
pub mod ports;
pub mod quarantine;
pub mod reconcile;
pub mod references;
pub mod run;
pub mod seat;
pub mod state_file;
pub mod status;
pub mod supervise;

pub use config::{Config, Endpoint, EnvoyBinary, OnProxyFailure, Operator, UseModule};
pub use event::NodeEvent;
pub use run::{NodeError, run, run_with};
