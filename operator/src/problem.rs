//! What is wrong with an object, told to the person who wrote it.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The part named is not served, or the last good version of the object stays in force.
    Error,
    /// Served, but not as its author may expect.
    Warning,
}

/// The class of a problem: the `reason` of conditions and Events, and a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The object cannot be understood or Envoy would refuse it.
    Invalid,
    /// A value that we cannot serve, such as a resource backend.
    Unsupported,
    /// A Service that is named does not exist.
    ServiceNotFound,
    /// A Service exists but has no such port.
    PortNotFound,
    /// A listener, route or cluster that is named does not exist.
    ResourceNotFound,
    /// A Secret that is named exists, but Envoy could not use it.
    InvalidSecret,
    /// An older object has it already.
    Conflict,
    /// An older Ingress has the host and path already.
    RouteConflict,
    /// Belongs to another namespace, or reaches further than the operator allows.
    NotPermitted,
}

impl Reason {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Unsupported,
        Self::ServiceNotFound,
        Self::PortNotFound,
        Self::ResourceNotFound,
        Self::InvalidSecret,
        Self::Conflict,
        Self::RouteConflict,
        Self::NotPermitted,
    ];

    /// The name in conditions, Events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::Unsupported => "Unsupported",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::PortNotFound => "PortNotFound",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::InvalidSecret => "InvalidSecret",
            Self::Conflict => "Conflict",
            Self::RouteConflict => "RouteConflict",
            Self::NotPermitted => "NotPermitted",
        }
    }

    /// Whether the object itself is fine and something that it names is missing: the condition `ResolvedRefs`.
    #[must_use]
    pub const fn is_reference(self) -> bool {
        matches!(self, Self::ServiceNotFound | Self::PortNotFound | Self::ResourceNotFound | Self::InvalidSecret)
    }
}

/// One thing that is wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// What class.
    pub reason: Reason,
    /// Where in the object: `spec.rules[0].http.paths[1].backend.service.name`. Empty for the whole object.
    pub field: String,
    /// What is wrong, why, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem that leaves something unserved.
    pub fn error(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, reason, field: field.into(), message: message.into() }
    }

    /// A problem that a person should know of.
    pub fn warning(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}
