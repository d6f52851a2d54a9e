//! The cluster-wide control plane: Ingress and CiliumEnvoyConfig to node intents.
//!
//! Sources tell what happened to objects ([`SourceEvent`]), the [`Engine`] keeps what every node is to be told, pure and
//! synchronous; around it stand the parts with I/O.
#![forbid(unsafe_code)]

pub mod admission;
pub mod auth;
pub mod ca;
pub mod credential;
pub mod engine;
pub mod file_source;
pub mod index;
pub mod ingress_flags;
pub mod intents;
pub mod kube_source;
pub mod lease;
pub mod local;
pub mod metrics;
pub mod model;
pub mod policy_flags;
pub mod problem;
pub mod run;
pub mod serve;
pub mod shared;
pub mod source;
pub mod standalone;
pub mod supervise;
mod timer;
mod tls;
pub mod translate;
pub mod webhook;
pub mod write;
pub mod yaml;

pub use engine::{Changes, Engine, ProblemChange, Report, Target, Write};
pub use problem::{Problem, Reason, Severity};
pub use source::{Kind, Name, Object, ObjectKey, SourceEvent};
