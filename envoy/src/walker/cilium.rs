//! Filters that only Cilium's own Envoy has. Its manifests may carry them; here they have nothing to do, so they are left out.
//!
//! The walk leaves a filter with nothing but its name in their place, so that the paths of what comes after are right, until
//! the resource has been checked.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use serde_json::Value as Json;

use crate::{Problem, encode, visit};

/// Filter name and message name.
const FILTERS: [(&str, &str); 3] = [
    ("cilium.network", "cilium.NetworkFilter"),
    ("cilium.l7policy", "cilium.L7Policy"),
    ("cilium.bpf_metadata", "cilium.BpfMetadata"),
];

/// The messages that are filters of a list.
const PLACES: [&str; 3] =
    ["envoy.config.listener.v3.Filter", "envoy.config.listener.v3.ListenerFilter", crate::fill::HTTP_FILTER];

/// The name of the filter in `json` if it is one to leave out. A type decides; without one, the name.
pub(super) fn dropped(kind: &Kind, json: &Json) -> Option<&'static str> {
    if !PLACES.contains(&kind.as_message()?.full_name()) {
        return None;
    }
    let typed = json.get("typed_config").or_else(|| json.get("typedConfig"));
    let row = match typed {
        Some(config) => {
            let message = config.get("@type")?.as_str()?.rsplit('/').next()?;
            FILTERS.iter().find(|(_, of)| *of == message)
        }
        None => {
            let name = json.get("name")?.as_str()?;
            FILTERS.iter().find(|(of, _)| *of == name)
        }
    };
    row.map(|(name, _)| *name)
}

/// What stands in the place of a filter that is left out.
pub(super) fn placeholder(of: &MessageDescriptor, filter: &str) -> DynamicMessage {
    let mut placeholder = DynamicMessage::new(of.clone());
    placeholder.set_field_by_name("name", Value::String(filter.to_owned()));
    placeholder
}

/// Whether `filter` is a placeholder.
pub(crate) fn is_placeholder(filter: &DynamicMessage) -> bool {
    PLACES.contains(&filter.descriptor().full_name())
        && filter.fields().count() == 1
        && FILTERS.iter().any(|(name, _)| *name == encode::get_str(filter, "name"))
}

/// Takes the placeholders away.
pub(crate) fn prune(message: &mut DynamicMessage) {
    visit::rewrite(message, &mut Pruner);
}

struct Pruner;

impl visit::Rewriter for Pruner {
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        let mut changed = false;
        for (_, value) in message.fields_mut() {
            if let Value::List(items) = value {
                let before = items.len();
                items.retain(|item| !item.as_message().is_some_and(is_placeholder));
                changed |= items.len() < before;
            }
        }
        changed
    }
}

pub(super) fn warning(path: &str, filter: &str) -> Problem {
    Problem::warning(
        path,
        format!("{filter} is left out: only Cilium's own Envoy has this filter, nothing here needs it"),
    )
}
