//! What an event led to, for those who carry it out.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_xds::Key;

use super::Write;
use crate::problem::Problem;
use crate::source::{Name, ObjectKey};

/// What an event led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Keys whose content, or visibility to some node, may have changed.
    pub intents: BTreeSet<Key>,
    /// Objects whose problems changed.
    pub problems: BTreeMap<ObjectKey, ProblemChange>,
    /// Secrets that objects name from now on (true), or that none names any more (false).
    pub secrets: BTreeMap<Name, bool>,
    /// ConfigMaps that classes name from now on, or no more, likewise.
    pub config_maps: BTreeMap<Name, bool>,
    /// An Ingress came that is none of ours.
    pub foreign: bool,
    /// What is to be written, at most one write per target. Nothing is told twice.
    pub writes: Vec<Write>,
}

impl Changes {
    /// Both, this one first.
    pub fn merge(&mut self, later: Self) {
        self.intents.extend(later.intents);
        for (object, change) in later.problems {
            let mine = self.problems.entry(object).or_default();
            for problem in change.cleared {
                let added = mine.added.len();
                mine.added.retain(|it| *it != problem);
                if mine.added.len() == added {
                    mine.cleared.push(problem);
                }
            }
            mine.added.extend(change.added);
        }
        self.problems.retain(|_, change| !change.added.is_empty() || !change.cleared.is_empty());
        self.secrets.extend(later.secrets);
        self.config_maps.extend(later.config_maps);
        self.foreign |= later.foreign;
        self.writes.extend(later.writes);
    }
}

/// How the problems of one object changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemChange {
    /// New ones: worth a log line and an Event.
    pub added: Vec<Problem>,
    /// Those that are no more.
    pub cleared: Vec<Problem>,
}
