//! Full names: `namespace/object/resource`, so that what one object defines cannot touch another's.
//!
//! The rules are Cilium's, so that its manifests mean the same here. In *force* mode (listeners, route configurations,
//! virtual hosts, and references to routes) a name gets the prefix unless it begins with the object's own namespace. In
//! *default* mode (clusters, endpoints, secrets, internal listeners and references to them) a name with a `/` is left alone:
//! a cluster `namespace/service` means the endpoints of that service.

pub(crate) mod table;

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};

use crate::{EnvoyResource, Problem, ResourceKind, path::Path, visit};

/// The object that a resource stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Its namespace; empty for a cluster-wide object.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Gives `resource` and everything that it refers to their full names. Doing it twice changes nothing.
///
/// A cluster's `service_name` without a `/` is a reference like any other: nothing but an assignment in the same object can
/// have such a name.
///
/// # Errors
///
/// The resource would define a name that belongs to another namespace. Cluster-wide objects may.
pub fn qualify(resource: &mut EnvoyResource, owner: &Owner<'_>) -> Result<(), Problem> {
    visit::rewrite(&mut resource.message, &mut Namer { owner: *owner, kind: resource.kind });
    let name = resource.name();
    match name.split_once('/') {
        Some((namespace, _)) if !owner.namespace.is_empty() && namespace != owner.namespace => {
            let path = Path::new(&resource.path).to(resource.kind.name_field());
            let message = format!(
                "{name:?} belongs to namespace {namespace:?}; an object of namespace {:?} can refer to it but not define it",
                owner.namespace
            );
            Err(Problem::error(path, message))
        }
        _ => Ok(()),
    }
}

impl Owner<'_> {
    /// Prefixes `name` unless it has a `/`.
    fn default_name(&self, name: &str) -> Option<String> {
        (!name.is_empty() && !name.contains('/')).then(|| self.prefixed(name))
    }

    /// Prefixes `name` unless it begins with the own namespace.
    fn forced_name(&self, name: &str) -> Option<String> {
        let own = name.split_once('/').is_some_and(|(namespace, _)| namespace == self.namespace);
        (!name.is_empty() && !own).then(|| self.prefixed(name))
    }

    fn prefixed(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.namespace, self.name)
    }
}

struct Namer<'a> {
    owner: Owner<'a>,
    kind: ResourceKind,
}

impl visit::Rewriter for Namer<'_> {
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        let owner = self.owner;
        let mut changed = false;
        for field in table::cluster_fields(name).chain(table::secret_fields(name)) {
            changed |= rename(message, field, |name| owner.default_name(name));
        }
        for (_, field) in table::CLUSTER_KEYS.iter().filter(|(row, _)| *row == name) {
            changed |= rename_keys(message, field, |name| owner.default_name(name));
        }
        for (_, field) in table::DEFAULT.iter().filter(|(row, _)| *row == name) {
            changed |= rename(message, field, |name| owner.default_name(name));
        }
        for (_, field) in table::FORCED.iter().filter(|(row, _)| *row == name) {
            changed |= rename(message, field, |name| owner.forced_name(name));
        }
        // A secret's name is one only at the top: elsewhere secrets stand inline.
        if self.kind == ResourceKind::Secret && name == table::SECRET {
            changed |= rename(message, "name", |name| owner.default_name(name));
        }
        changed
    }
}

/// Gives new names to a string field or to each of a list.
fn rename(message: &mut DynamicMessage, field: &str, new: impl Fn(&str) -> Option<String>) -> bool {
    let Some(descriptor) = message.descriptor().get_field_by_name(field) else { return false };
    if !message.has_field(&descriptor) {
        return false;
    }
    let names: Vec<&mut String> = match message.get_field_mut(&descriptor) {
        Value::String(name) => vec![name],
        Value::List(names) => names.iter_mut().filter_map(Value::as_string_mut).collect(),
        _ => Vec::new(),
    };
    let mut changed = false;
    for name in names {
        if let Some(new) = new(name) {
            *name = new;
            changed = true;
        }
    }
    changed
}

/// Gives new names to the keys of a map.
fn rename_keys(message: &mut DynamicMessage, field: &str, new: impl Fn(&str) -> Option<String>) -> bool {
    let Some(Value::Map(entries)) = message.get_field_by_name_mut(field) else { return false };
    let mut changed = false;
    let renamed: HashMap<MapKey, Value> = entries
        .drain()
        .map(|(key, value)| match key.as_str().and_then(&new) {
            Some(name) => {
                changed = true;
                (MapKey::String(name), value)
            }
            None => (key, value),
        })
        .collect();
    *entries = renamed;
    changed
}

#[cfg(test)]
mod tests;
