//! What the quarantine asks for, and what it wants to be remembered.

use std::{collections::BTreeSet, sync::Arc};

use axoneme_xds::Key;

/// What is to be done, in this order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Not on trial any more.
    pub proven: Vec<(Key, Arc<str>)>,
    /// Not to be offered for now; the last proven version is.
    pub hold: Vec<(Key, Arc<str>)>,
    /// Not to be offered any more.
    pub quarantine: Vec<(Key, Arc<str>)>,
    /// To be offered again.
    pub release: Vec<Key>,
    /// Whose [`Suspect`] is to be written down, before anything is offered.
    pub write: BTreeSet<Key>,
    /// Whose [`Suspect`] is to be forgotten.
    pub erase: BTreeSet<Key>,
}

/// What outlives the loader: a version that is not proven, and what is known against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which resource.
    pub key: Key,
    /// The operator's version.
    pub version: Arc<str>,
    /// The deaths at which it was on trial, by number.
    pub deaths: Vec<u64>,
    /// Found to be the cause.
    pub quarantined: bool,
}
