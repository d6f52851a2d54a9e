//! JSON to messages and back, by reflection.
//!
//! Unlike a deserializer it goes on after a mistake, so a user sees all mistakes at once, each with its exact path. It takes
//! what protobuf's JSON mapping allows: fields by JSON name or by proto name, numbers as strings, enums by name or number.

mod any;
pub(crate) mod cilium;
mod scalar;
pub(crate) mod suggest;
mod wkt;

pub(crate) use self::wkt::{TOO_DEEP, is_wrapper};

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value};
use serde_json::{Map, Value as Json};

use crate::{Problem, Severity, path::Path, problem};

/// Messages inside messages, as protobuf itself limits them.
const NESTING_LIMIT: usize = 100;

/// Reads `json`, an object that may have an `@type`, as a message of type `descriptor`.
///
/// With an error among the problems the message is incomplete. Where Cilium's own filters were, it has placeholders, which
/// [`cilium::prune`] takes away.
pub(crate) fn from_json(json: &Json, descriptor: &MessageDescriptor, path: &str) -> (DynamicMessage, Vec<Problem>) {
    let mut walker = Walker { path: Path::new(path), problems: Vec::new(), depth: 0 };
    let message = match json.as_object() {
        Some(object) => walker.object(descriptor, object, Some("@type")),
        None => {
            walker.error("must be an object");
            DynamicMessage::new(descriptor.clone())
        }
    };
    (message, walker.problems)
}

/// `message` as JSON with proto field names, and with `type_url` as its `@type`.
///
/// # Errors
///
/// An Any in it cannot be read.
pub(crate) fn to_json(message: &DynamicMessage, type_url: &str) -> Result<Json, serde_json::Error> {
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    let mut json = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    if let Json::Object(object) = &mut json {
        object.insert("@type".to_owned(), Json::String(type_url.to_owned()));
    }
    Ok(json)
}

struct Walker {
    path: Path,
    problems: Vec<Problem>,
    depth: usize,
}

impl Walker {
    fn error(&mut self, message: impl Into<String>) {
        self.wrong(|| (message.into(), None));
    }

    /// The message, and what was probably meant: only looked for when it is told.
    fn wrong(&mut self, message: impl FnOnce() -> (String, Option<String>)) {
        problem::tell(&mut self.problems, Severity::Error, || {
            let (message, suggestion) = message();
            Problem::error(self.path.as_str(), message).suggest(suggestion)
        });
    }

    /// The fields of `object`, but for the key `skip`.
    fn object(
        &mut self,
        descriptor: &MessageDescriptor,
        object: &Map<String, Json>,
        skip: Option<&str>,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        // Field number or oneof name -> the key that set it.
        let mut fields: BTreeMap<u32, &str> = BTreeMap::new();
        let mut oneofs: BTreeMap<String, &str> = BTreeMap::new();
        for (key, json) in object {
            if Some(key.as_str()) == skip {
                continue;
            }
            let mark = self.path.mark();
            self.path.field(key);
            match find_field(descriptor, key) {
                None => self.unknown_field(descriptor, key),
                // In protobuf's JSON null means that the field is not set.
                Some(field) if json.is_null() && !wkt::takes_null(&field.kind()) => {}
                Some(field) => {
                    if let Some(other) = fields.insert(field.number(), key) {
                        self.error(format!("is the same field as {other}"));
                    } else if let Some(other) = oneof_name(&field).and_then(|oneof| oneofs.insert(oneof, key)) {
                        self.error(format!("cannot be set together with {other}: {}", one_of(&field)));
                    } else if let Some(value) = self.field(&field, json) {
                        message.set_field(&field, value);
                    }
                }
            }
            self.path.back(mark);
        }
        message
    }

    fn unknown_field(&mut self, descriptor: &MessageDescriptor, key: &str) {
        self.wrong(|| {
            let suggestion = suggest::nearest(key, descriptor.fields().map(|field| field.name().to_owned()));
            (format!("unknown field in {}", descriptor.full_name()), suggestion)
        });
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Json) -> Option<Value> {
        if field.is_map() {
            return self.map(field, json);
        }
        if field.is_list() {
            return self.list(field, json);
        }
        self.value(&field.kind(), json)
    }

    fn list(&mut self, field: &FieldDescriptor, json: &Json) -> Option<Value> {
        let Some(items) = json.as_array() else {
            self.error(format!("must be a list, not {}", describe(json)));
            return None;
        };
        let kind = field.kind();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let mark = self.path.mark();
            self.path.index(index);
            let value = match (cilium::dropped(&kind, item), &kind) {
                (Some(filter), Kind::Message(of)) => {
                    let path = self.path.as_str();
                    problem::tell(&mut self.problems, Severity::Warning, || cilium::warning(path, filter));
                    Some(Value::Message(cilium::placeholder(of, filter)))
                }
                _ => self.value(&kind, item),
            };
            // Something must stand for a bad item too, or the paths of the next ones would be wrong.
            values.push(value.unwrap_or_else(|| Value::default_value(&kind)));
            self.path.back(mark);
        }
        Some(Value::List(values))
    }

    fn map(&mut self, field: &FieldDescriptor, json: &Json) -> Option<Value> {
        let Some(object) = json.as_object() else {
            self.error(format!("must be an object, not {}", describe(json)));
            return None;
        };
        let kind = field.kind();
        let entry = kind.as_message()?;
        let (keys, values) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut entries = std::collections::HashMap::with_capacity(object.len());
        for (key, json) in object {
            let mark = self.path.mark();
            self.path.key(key);
            if let (Some(key), Some(value)) = (self.key(&keys, key), self.value(&values, json)) {
                entries.insert(key, value);
            }
            self.path.back(mark);
        }
        Some(Value::Map(entries))
    }

    fn key(&mut self, kind: &Kind, key: &str) -> Option<MapKey> {
        match scalar::key(kind, key) {
            Ok(key) => Some(key),
            Err(message) => {
                self.error(message);
                None
            }
        }
    }

    fn value(&mut self, kind: &Kind, json: &Json) -> Option<Value> {
        if let Kind::Message(descriptor) = kind {
            return self.message(descriptor, json).map(Value::Message);
        }
        match scalar::value(kind, json) {
            Ok(value) => Some(value),
            Err(scalar::Wrong { message, suggestion }) => {
                self.wrong(|| (message, suggestion));
                None
            }
        }
    }

    fn message(&mut self, descriptor: &MessageDescriptor, json: &Json) -> Option<DynamicMessage> {
        if self.depth == NESTING_LIMIT {
            self.error(format!("more than {NESTING_LIMIT} messages inside each other"));
            return None;
        }
        self.depth += 1;
        let message = match descriptor.full_name() {
            "google.protobuf.Any" => self.any(descriptor, json),
            name if wkt::is_wrapper(name) => self.wrapper(descriptor, json),
            name if wkt::is_special(name) => self.well_known(descriptor, json),
            name => match json.as_object() {
                Some(object) => Some(self.object(descriptor, object, None)),
                None => {
                    self.error(format!("must be an object ({name}), not {}", describe(json)));
                    None
                }
            },
        };
        self.depth -= 1;
        message
    }
}

fn find_field(descriptor: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key))
}

/// The name of the oneof that a field is in. Proto3's `optional` makes oneofs of one, which are none.
fn oneof_name(field: &FieldDescriptor) -> Option<String> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| oneof.name().to_owned())
}

fn one_of(field: &FieldDescriptor) -> String {
    let members = field.containing_oneof().map(|oneof| oneof.fields().map(|f| f.name().to_owned()).collect::<Vec<_>>());
    format!("choose one of {}", members.unwrap_or_default().join(", "))
}

/// What a JSON value is, for error messages: long ones by their kind, short ones as they are.
fn describe(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::String(text) if text.len() > 60 => "a string".to_owned(),
        short => short.to_string(),
    }
}

#[cfg(test)]
mod tests;
