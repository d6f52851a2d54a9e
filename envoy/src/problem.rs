//! One thing that is wrong with an object: where, what, and what to write instead.

use std::fmt;

use crate::Capability;

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
