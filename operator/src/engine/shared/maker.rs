//! What the pieces of shared mode are made of, and what is said of those that cannot be made.

use crate::model::IngressDefaults;
use crate::problem::{Problem, Reason};
use crate::shared::Shared;
use crate::translate::shared::Origin;

/// What tables and chains are made of.
pub(super) struct Maker<'a> {
    pub(super) origin: Origin,
    pub(super) hosts: &'a Shared,
    pub(super) defaults: &'a IngressDefaults,
}

/// Without what Envoy would refuse, which should not be: the last good version stays, and the log says so.
pub(super) fn told<T>(made: Result<T, Vec<Problem>>, what: &str, name: &str) -> Option<T> {
    made.inspect_err(|problems| {
        tracing::error!(what, name, ?problems, reason = Reason::Invalid.as_str(), "shared mode: left as it was");
    })
    .ok()
}
