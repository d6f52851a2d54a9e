//! What a user's resource may make Envoy do. What reaches beyond traffic (files, code, sockets of the node) is denied unless
//! whoever runs the operator allows it by name. What reaches other namespaces' backends is allowed unless they forbid it.
//!
//! `docs/extensions.md` has the table for people; a test keeps it equal to the one in code.

use std::{collections::BTreeSet, fmt, str::FromStr};

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::{Problem, Severity, encode, path::Path, problem, visit};

mod table;

pub use table::Capability;

/// The capabilities that are allowed, whether other namespaces' backends are, and what holds for objects that do not say whether
/// backends see the client's address. The default allows no capability and all backends, which see the node's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    allow: BTreeSet<Capability>,
    forbid_foreign_backends: bool,
    keep_client_address: bool,
}

impl Policy {
    /// A policy that allows everything: for resources that no user wrote.
    #[must_use]
    pub fn everything() -> Self {
        Capability::ALL.into_iter().collect()
    }

    /// Whether a capability is allowed.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.allow.contains(&capability)
    }

    /// The same policy, and whether a namespaced object must do with the backends of its own namespace.
    #[must_use]
    pub fn with_foreign_backends_forbidden(self, forbid_foreign_backends: bool) -> Self {
        Self { forbid_foreign_backends, ..self }
    }

    /// Whether a namespaced object must do with the backends of its own namespace.
    #[must_use]
    pub fn forbids_foreign_backends(&self) -> bool {
        self.forbid_foreign_backends
    }

    /// The same policy, and whether backends see the client's address unless an object says otherwise.
    #[must_use]
    pub fn with_client_address_kept(self, keep_client_address: bool) -> Self {
        Self { keep_client_address, ..self }
    }

    /// Whether backends see the client's address unless an object says otherwise.
    #[must_use]
    pub fn keeps_client_address(&self) -> bool {
        self.keep_client_address
    }
}

impl FromIterator<Capability> for Policy {
    fn from_iter<T: IntoIterator<Item = Capability>>(allow: T) -> Self {
        Self { allow: allow.into_iter().collect(), ..Self::default() }
    }
}

/// A word that is no capability.
#[derive(Debug, thiserror::Error)]
#[error("{word:?} is none of {}", Capability::ALL.map(Capability::as_str).join(", "))]
pub struct UnknownCapability {
    word: String,
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownCapability { word: word.to_owned() };
        Self::ALL.into_iter().find(|capability| capability.as_str() == word).ok_or_else(unknown)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Appends everything in `message` that `policy` denies. Costs a walk over the message.
pub(crate) fn check(message: &DynamicMessage, mut path: Path, policy: &Policy, problems: &mut Vec<Problem>) {
    visit::visit(message, &mut path, &mut Checker { policy, problems, denied: None });
}

struct Checker<'a> {
    policy: &'a Policy,
    problems: &'a mut Vec<Problem>,
    /// The last message that was denied whole: what is in it needs no second word.
    denied: Option<(Capability, String)>,
}

impl visit::Visitor for Checker<'_> {
    fn message(&mut self, message: &DynamicMessage, path: &Path) {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        if let Some(capability) = table::of_message(name) {
            let within = self
                .denied
                .as_ref()
                .is_some_and(|(last, outer)| *last == capability && path.as_str().starts_with(outer.as_str()));
            if !within && self.deny(capability, path.as_str(), name) {
                self.denied = Some((capability, path.as_str().to_owned()));
            }
        }
        for (field, value) in message.fields() {
            if let Some((capability, harmless)) = table::of_field(name, field.name()) {
                let fine = value.as_str().is_some_and(|value| harmless.contains(&value));
                if !fine {
                    self.deny(capability, &path.to(field.name()), field.name());
                }
            }
            for (operator, capability) in table::OPERATORS {
                if mentions(value, operator) {
                    self.deny(capability, &path.to(field.name()), &format!("{operator}...)%"));
                }
            }
        }
    }
}

impl Checker<'_> {
    fn deny(&mut self, capability: Capability, path: &str, what: &str) -> bool {
        let denied = !self.policy.allows(capability);
        if denied {
            problem::tell(self.problems, Severity::Error, || Problem::denied(path, capability, what));
        }
        denied
    }
}

/// Whether a text of this field has `operator` in it. Looks into the trees of Struct, which [`visit`] passes by.
fn mentions(value: &Value, operator: &str) -> bool {
    match value {
        Value::String(text) => text.contains(operator),
        Value::List(items) => items.iter().any(|item| mentions(item, operator)),
        Value::Map(entries) => entries.values().any(|item| mentions(item, operator)),
        Value::Message(inner) if inner.descriptor().full_name().starts_with("google.protobuf.") => {
            !encode::is_any(inner) && inner.fields().any(|(_, value)| mentions(value, operator))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
