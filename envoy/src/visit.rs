//! Walks over every message in a resource, with its path, through lists, maps and every Any.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use crate::{encode, path::Path};

/// What looks at each message of a resource.
pub(crate) trait Visitor {
    /// Called for a message before the messages in it.
    fn message(&mut self, message: &DynamicMessage, path: &Path);

    /// Whether to leave out what is in this field.
    fn skips(&self, _field: &FieldDescriptor) -> bool {
        false
    }
}

/// Shows `message` and everything in it to `visitor`, parents first, fields in the order of their numbers.
pub(crate) fn visit(message: &DynamicMessage, path: &mut Path, visitor: &mut impl Visitor) {
    if encode::is_any(message) {
        if let Some(inner) = encode::unpack(message) {
            visit(&inner, path, visitor);
        }
        return;
    }
    visitor.message(message, path);
    for (field, value) in message.fields() {
        if !holds_messages(&field) || visitor.skips(&field) {
            continue;
        }
        let mark = path.mark();
        path.field(field.name());
        match value {
            Value::Message(inner) => visit(inner, path, visitor),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    at(path, |path| path.index(index), item, visitor);
                }
            }
            Value::Map(entries) => {
                for (key, item) in encode::sorted(entries) {
                    at(path, |path| path.key(&encode::key_text(key)), item, visitor);
                }
            }
            _ => {}
        }
        path.back(mark);
    }
}

fn at(path: &mut Path, enter: impl FnOnce(&mut Path), item: &Value, visitor: &mut impl Visitor) {
    if let Value::Message(inner) = item {
        let mark = path.mark();
        enter(path);
        visit(inner, path, visitor);
        path.back(mark);
    }
}

/// What changes messages of a resource.
pub(crate) trait Rewriter {
    /// Called for a message before the messages in it; says whether it changed something.
    fn message(&mut self, message: &mut DynamicMessage) -> bool;
}

/// Shows `message` and everything in it to `rewriter`. An Any is encoded again only if something in it changed.
pub(crate) fn rewrite(message: &mut DynamicMessage, rewriter: &mut impl Rewriter) -> bool {
    if encode::is_any(message) {
        let Some(mut inner) = encode::unpack(message) else { return false };
        let changed = rewrite(&mut inner, rewriter);
        if changed {
            message.set_field_by_name("value", Value::Bytes(encode::encode(&inner).into()));
        }
        return changed;
    }
    let mut changed = rewriter.message(message);
    for (field, value) in message.fields_mut() {
        if !holds_messages(&field) {
            continue;
        }
        match value {
            Value::Message(inner) => changed |= rewrite(inner, rewriter),
            Value::List(items) => {
                for inner in items.iter_mut().filter_map(Value::as_message_mut) {
                    changed |= rewrite(inner, rewriter);
                }
            }
            Value::Map(entries) => {
                for inner in entries.values_mut().filter_map(Value::as_message_mut) {
                    changed |= rewrite(inner, rewriter);
                }
            }
            _ => {}
        }
    }
    changed
}

/// Fields that can hold a message of Envoy's: the trees of Struct and the like hold only user data.
fn holds_messages(field: &FieldDescriptor) -> bool {
    let kind = field.kind();
    let Some(message) = kind.as_message() else { return false };
    let name = message.full_name();
    !name.starts_with("google.protobuf.") || name == "google.protobuf.Any"
}
