//! What the driver tells people: log lines and counters.

use axoneme_xds::Outcome;

use crate::{ObjectKey, ProblemChange, Severity, SourceEvent, metrics};

/// The event in a metric's label.
pub(super) fn describe(event: &SourceEvent) -> &'static str {
    match event {
        SourceEvent::Apply(_) => "apply",
        SourceEvent::Delete(_) => "delete",
        SourceEvent::Unreadable(_) => "unreadable",
        SourceEvent::Reset { .. } => "reset",
    }
}

/// Logs how the problems of an object changed.
pub(super) fn log(object: &ObjectKey, change: &ProblemChange) {
    for problem in &change.added {
        let (reason, field) = (problem.reason.as_str(), &problem.field);
        match problem.severity {
            Severity::Error => tracing::warn!(%object, reason, field, message = problem.message, "problem"),
            Severity::Warning => tracing::info!(%object, reason, field, message = problem.message, "warning"),
        }
    }
    for problem in &change.cleared {
        tracing::info!(%object, reason = problem.reason.as_str(), field = problem.field, "problem solved");
    }
}

/// Counts and logs what a node said of a resource.
pub(super) fn note(node: &str, outcome: &Outcome, owners: &[ObjectKey]) {
    match outcome {
        Outcome::Acked { type_url, name, version } => {
            ::metrics::counter!(metrics::ACKS, "type" => short(type_url)).increment(1);
            tracing::debug!(node, type_url = %type_url, name = %name, ?version, "programmed");
        }
        Outcome::Nacked { type_url, name, message, .. } => {
            ::metrics::counter!(metrics::NACKS, "type" => short(type_url)).increment(1);
            tracing::warn!(node, type_url = %type_url, name = %name, ?owners, message, "the node rejected a resource");
        }
    }
}

/// The last part of a type URL: `Listener`.
fn short(type_url: &str) -> String {
    type_url.rsplit('.').next().unwrap_or(type_url).to_owned()
}
