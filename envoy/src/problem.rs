//! One thing that is wrong with an object: where, what, and what to write instead.

use std::fmt;

use crate::Capability;

/// So many errors and so many warnings are told of one resource. Each has the path that leads to it, so all of them would take
/// a large multiple of a resource that is wrong all over.
pub(crate) const MOST: usize = 100;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The object is used all the same; its author should know.
    Warning,
    /// The object cannot be used.
    Error,
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The field, from the root of the object: `spec.resources[0].filter_chains[0].filters[0].typed_config.stat_prefixx`.
    /// Map keys read `["key"]`.
    pub path: String,
    /// What is wrong and why.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// Whether the object can be used all the same.
    pub severity: Severity,
    /// What the operator would have to allow, when nothing else is wrong with it.
    pub denied: Option<Capability>,
}

impl Problem {
    pub(crate) fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), suggestion: None, severity: Severity::Error, denied: None }
    }

    pub(crate) fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// `what` needs `capability`, which is not allowed.
    pub(crate) fn denied(path: impl Into<String>, capability: Capability, what: &str) -> Self {
        let risk = capability.risk();
        let message = format!("{what} {risk}; it is denied unless --allow-extensions has {capability}");
        Self { denied: Some(capability), ..Self::error(path, message) }
    }

    pub(crate) fn suggest(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }

    /// Whether this one keeps the object from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Appends a problem, unless there are as many of its severity as are told.
pub(crate) fn tell(problems: &mut Vec<Problem>, severity: Severity, problem: impl FnOnce() -> Problem) {
    if problems.iter().filter(|told| told.severity == severity).count() < MOST {
        problems.push(problem());
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, ", did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{Policy, decode_under};

    fn told(fields: Value) -> Vec<Problem> {
        let mut json = json!({"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "l"});
        if let (Some(json), Value::Object(fields)) = (json.as_object_mut(), fields) {
            json.extend(fields);
        }
        decode_under(&json, "r", &Policy::default()).err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_all_over_is_told_of_in_few_words() {
        let mistakes = (0..5000).map(|n| (format!("field{n}"), json!(n))).collect::<Map<_, _>>();
        let key = "k".repeat(100_000);
        let problems = told(json!({"metadata": {"typed_filter_metadata": {key: {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "load_assignment": mistakes,
        }}}}));
        assert_eq!(problems.len(), 1 + MOST);
        assert_eq!(problems[0].message, "is wrong in 100 places or more; no further ones are told");
        let length = problems.iter().map(|problem| problem.to_string().len()).sum::<usize>();
        assert!(length < 100_000, "{length} bytes");
    }

    #[test]
    fn warnings_take_the_place_of_no_error() {
        let dropped = json!({"name": "cilium.l7policy"});
        let mut filters = vec![dropped; 2 * MOST];
        filters.push(json!({"name": "a", "wrong": 1}));
        let problems = told(json!({"listener_filters": filters}));
        assert_eq!(problems.iter().filter(|problem| !problem.is_error()).count(), MOST);
        assert!(problems.iter().any(|problem| problem.path.ends_with("wrong")), "{problems:?}");
    }
}
