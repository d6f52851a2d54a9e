//! What Axoneme knows of Envoy, without generated code: Envoy's own descriptor set and reflection over it.
//!
//! The way of a resource that a user wrote:
//!
//! 1. [`decode_under`] a [`Policy`]: JSON to message, with every mistake and its exact field path at once: unknown fields
//!    and types, wrong values, Envoy's own constraint rules, combinations that Envoy accepts but that break traffic, and
//!    extensions that the policy denies.
//! 2. [`qualify`]: names become `namespace/object/resource`, so no object can touch what another one owns, and unset
//!    config sources point to the one xDS server that Envoy has.
//! 3. [`refs`]: which clusters, routes, secrets and endpoints it needs.
//! 4. [`EnvoyResource::encode`]: bytes. The same resource always gives the same bytes.
//!
//! [`endpoints`] and [`bootstrap`] need no reflection and are there without the feature `reflect`.
#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod endpoints;

#[cfg(feature = "reflect")]
mod check;
#[cfg(feature = "reflect")]
mod encode;
#[cfg(feature = "reflect")]
mod fill;
#[cfg(feature = "reflect")]
mod path;
#[cfg(feature = "reflect")]
mod pgv;
#[cfg(feature = "reflect")]
mod policy;
#[cfg(feature = "reflect")]
mod pool;
#[cfg(feature = "reflect")]
mod problem;
#[cfg(feature = "reflect")]
mod qualify;
#[cfg(feature = "reflect")]
mod redact;
#[cfg(feature = "reflect")]
mod refs;
#[cfg(feature = "reflect")]
mod resource;
#[cfg(feature = "reflect")]
mod visit;
#[cfg(feature = "reflect")]
mod walker;

#[cfg(feature = "reflect")]
pub use self::{
    check::duplicates,
    policy::{Capability, Policy, UnknownCapability},
    pool::ENVOY_VERSION,
    problem::{Problem, Severity},
    qualify::{Owner, qualify},
    refs::{Refs, refs},
    resource::{EnvoyResource, ResourceKind, decode, decode_own, decode_under},
};
