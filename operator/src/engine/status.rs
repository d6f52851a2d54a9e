//! Status of a CiliumEnvoyConfig as conditions. Pure: no clock, so a transition time is told only where it is old.

use std::fmt::Write as _;

use axoneme_api::cec::EnvoyConfigStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::intents::Programmed;
use crate::problem::{Problem, Severity};
use crate::source::EnvoyConfig;

/// Problems that a condition's message spells out; the others are counted.
const TOLD: usize = 5;

/// The conditions an object should show.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigStatus {
    /// Generation of the spec that was looked at.
    pub observed_generation: Option<i64>,
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
    pub reason: String,
    /// For people.
    pub message: String,
    /// The time of the last transition, when this is none.
    pub since: Option<Time>,
}

impl ConfigStatus {
    /// The status that problems and the nodes' answers amount to.
    #[must_use]
    pub fn new(config: &EnvoyConfig, problems: &[Problem], programmed: &Programmed) -> Self {
        let (references, own): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.reason.is_reference());
        let drafts = [
            verdict("Accepted", "Accepted", "valid", &own),
            verdict("ResolvedRefs", "ResolvedRefs", "everything that is named exists", &references),
            programmed_condition(programmed),
        ];
        let keep_time = |draft: ConditionDraft| {
            let old = config.conditions.iter().find(|old| old.type_ == draft.type_ && old.status == draft.status);
            ConditionDraft { since: old.map(|old| old.last_transition_time.clone()), ..draft }
        };
        Self { observed_generation: config.meta.generation, conditions: drafts.into_iter().map(keep_time).collect() }
    }

    /// Whether the object shows this already.
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

    /// The status to write; what changes, changes at `now`.
    #[must_use]
    pub fn to_status(&self, now: &Time) -> EnvoyConfigStatus {
        let condition = |draft: &ConditionDraft| Condition {
            type_: draft.type_.to_owned(),
            status: draft.status.to_owned(),
            reason: draft.reason.clone(),
            message: draft.message.clone(),
            last_transition_time: draft.since.clone().unwrap_or_else(|| now.clone()),
            observed_generation: self.observed_generation,
        };
        EnvoyConfigStatus {
            observed_generation: self.observed_generation,
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }
}

/// True without errors; warnings stand in the message either way.
fn verdict(type_: &'static str, good: &str, fine: &str, problems: &[&Problem]) -> ConditionDraft {
    let worst = problems.iter().find(|problem| problem.severity == Severity::Error);
    ConditionDraft {
        type_,
        status: if worst.is_some() { "False" } else { "True" },
        reason: worst.map_or(good, |problem| problem.reason.as_str()).to_owned(),
        message: if problems.is_empty() { fine.to_owned() } else { list(problems.iter().map(ToString::to_string)) },
        since: None,
    }
}

fn programmed_condition(programmed: &Programmed) -> ConditionDraft {
    let Programmed { nodes, done, rejections } = programmed;
    let mut message = format!("{done}/{nodes} nodes");
    if !rejections.is_empty() {
        let texts = rejections.iter().map(|it| format!("{} refused {}: {}", it.node, it.resource, it.message));
        let _ = write!(message, "; {}", list(texts));
    }
    let (status, reason) = match () {
        () if !rejections.is_empty() => ("False", "Rejected"),
        () if *nodes == 0 => ("Unknown", "NoNodes"),
        () if done == nodes => ("True", "Programmed"),
        () => ("False", "Pending"),
    };
    ConditionDraft { type_: "Programmed", status, reason: reason.to_owned(), message, since: None }
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
