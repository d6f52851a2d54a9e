//! Status of a CiliumEnvoyConfig as conditions. Pure: no clock, so a transition time is told only where it is old.
//!
//! Every reason, what it means and what to do about it stands in `docs/status.md`.

use std::fmt::Write as _;

use axoneme_api::cec::EnvoyConfigStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::intents::Programmed;
use crate::problem::{Problem, Severity};
use crate::source::EnvoyConfig;

mod programmed;

pub use programmed::{PROGRAMMED, ProgrammedReason};

/// Problems that a condition's message spells out; the others are counted.
const TOLD: usize = 5;

/// Type of the condition that the object itself is right. Its reason, when it is true, is the same word.
pub const ACCEPTED: &str = "Accepted";
/// Type of the condition that everything exists that the object names. Its reason, when it is true, is the same word.
pub const RESOLVED_REFS: &str = "ResolvedRefs";

/// The conditions an object should show.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigStatus {
    /// The object's uid: an Event without it is not shown.
    pub uid: Option<String>,
    /// Generation of the spec that was looked at.
    pub observed_generation: Option<i64>,
    /// Nodes that run it, of how many: `2/3`.
    pub nodes: String,
    /// `Accepted`, `ResolvedRefs`, `Programmed`.
    pub conditions: Vec<ConditionDraft>,
}

/// A condition without the time that only the writer knows.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionDraft {
    /// Its type.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The time of the last transition, when this is none.
    pub since: Option<Time>,
}

impl ConfigStatus {
    /// The status that problems and the nodes' answers amount to. `outdated` says that the present version is refused, so
    /// that nodes have an older one.
    #[must_use]
    pub fn new(config: &EnvoyConfig, problems: &[Problem], programmed: &Programmed, outdated: bool) -> Self {
        let (references, own): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.reason.is_reference());
        let accepted = verdict(ACCEPTED, "valid", &own);
        let standing = programmed::Standing { accepted: accepted.status == "True", outdated };
        let drafts = [
            accepted,
            verdict(RESOLVED_REFS, "everything that is named exists", &references),
            programmed::condition(programmed, standing),
        ];
        let keep_time = |draft: ConditionDraft| {
            let old = config.conditions.iter().find(|old| old.type_ == draft.type_ && old.status == draft.status);
            ConditionDraft { since: old.map(|old| old.last_transition_time.clone()), ..draft }
        };
        Self {
            uid: config.meta.uid.clone(),
            observed_generation: config.meta.generation,
            nodes: programmed::share(programmed),
            conditions: drafts.into_iter().map(keep_time).collect(),
        }
    }

    /// Whether the object shows this already. `nodes` is part of a message, so it needs no look of its own.
    #[must_use]
    pub fn is_met_by(&self, config: &EnvoyConfig) -> bool {
        self.observed_generation == config.observed_generation
            && self.conditions.iter().all(|draft| {
                config.conditions.iter().any(|shown| {
                    shown.type_ == draft.type_
                        && shown.status == draft.status
                        && shown.reason == draft.reason
                        && shown.message == draft.message
                        && shown.observed_generation == self.observed_generation
                })
            })
    }

    /// Whether only messages differ, such as the count of nodes: progress, and no news.
    #[must_use]
    pub fn same_verdict(&self, other: &Self) -> bool {
        let verdict = |it: &ConditionDraft| (it.type_, it.status, it.reason);
        self.observed_generation == other.observed_generation
            && self.conditions.iter().map(verdict).eq(other.conditions.iter().map(verdict))
    }

    /// The status to write; what changes, changes at `now`.
    #[must_use]
    pub fn to_status(&self, now: &Time) -> EnvoyConfigStatus {
        let condition = |draft: &ConditionDraft| Condition {
            type_: draft.type_.to_owned(),
            status: draft.status.to_owned(),
            reason: draft.reason.to_owned(),
            message: draft.message.clone(),
            last_transition_time: draft.since.clone().unwrap_or_else(|| now.clone()),
            observed_generation: self.observed_generation,
        };
        EnvoyConfigStatus {
            observed_generation: self.observed_generation,
            nodes: Some(self.nodes.clone()),
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }
}

/// True without errors; warnings stand in the message either way.
fn verdict(type_: &'static str, fine: &str, problems: &[&Problem]) -> ConditionDraft {
    let worst = problems.iter().find(|problem| problem.severity == Severity::Error);
    ConditionDraft {
        type_,
        status: if worst.is_some() { "False" } else { "True" },
        reason: worst.map_or(type_, |problem| problem.reason.as_str()),
        message: if problems.is_empty() { fine.to_owned() } else { list(problems.iter().map(ToString::to_string)) },
        since: None,
    }
}

/// The first few, and how many more.
fn list(texts: impl ExactSizeIterator<Item = String>) -> String {
    let more = texts.len().saturating_sub(TOLD);
    let mut told = texts.take(TOLD).collect::<Vec<_>>().join("; ");
    if more > 0 {
        let _ = write!(told, "; and {more} more");
    }
    told
}

#[cfg(test)]
mod tests;
