//! The well-known types, whose JSON is not an object of their fields.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use serde_json::Value as Json;

use super::{Walker, describe};

/// `UInt32Value` and the like: in JSON just the value.
pub(crate) fn is_wrapper(name: &str) -> bool {
    matches!(
        name.strip_prefix("google.protobuf."),
        Some(
            "DoubleValue"
                | "FloatValue"
                | "Int64Value"
                | "UInt64Value"
                | "Int32Value"
                | "UInt32Value"
                | "BoolValue"
                | "StringValue"
                | "BytesValue"
        )
    )
}

/// Whether a message's JSON is something else than an object of its fields.
pub(super) fn is_special(name: &str) -> bool {
    is_wrapper(name) || name == "google.protobuf.Any" || expected(name).is_some()
}

/// Null is a value of `google.protobuf.Value`; everywhere else it means that the field is not set.
pub(super) fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(of) => of.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn expected(name: &str) -> Option<&'static str> {
    match name.strip_prefix("google.protobuf.")? {
        "Duration" => Some("a duration in seconds, like \"1.5s\""),
        "Timestamp" => Some("a time, like \"2026-01-31T12:00:00Z\""),
        "FieldMask" => Some("a string of field names with commas between them"),
        "Struct" | "Empty" => Some("an object"),
        "ListValue" => Some("a list"),
        "Value" => Some("any JSON value"),
        _ => None,
    }
}

/// Protobuf limits nesting to 100 levels, and counts maps and the members of lists as more levels than JSON has.
pub(crate) const TOO_DEEP: &str = "is nested too deeply for Envoy to read it";

/// Whether every JSON value of this kind is one of the message: then only its depth can be wrong.
fn takes(name: &str, json: &Json) -> bool {
    match name.strip_prefix("google.protobuf.") {
        Some("Value") => true,
        Some("ListValue") => json.is_array(),
        Some("Struct") => json.is_object(),
        _ => false,
    }
}

impl Walker {
    pub(super) fn wrapper(&mut self, descriptor: &MessageDescriptor, json: &Json) -> Option<DynamicMessage> {
        let field = descriptor.get_field_by_name("value")?;
        let value = self.value(&field.kind(), json)?;
        let mut message = DynamicMessage::new(descriptor.clone());
        message.set_field(&field, value);
        Some(message)
    }

    pub(super) fn well_known(&mut self, descriptor: &MessageDescriptor, json: &Json) -> Option<DynamicMessage> {
        match DynamicMessage::deserialize(descriptor.clone(), json) {
            Ok(message) => Some(message),
            Err(_) => {
                let name = descriptor.full_name();
                if takes(name, json) {
                    self.error(TOO_DEEP);
                } else {
                    self.error(format!(
                        "must be {}, not {}",
                        expected(name).unwrap_or("another value"),
                        describe(json)
                    ));
                }
                None
            }
        }
    }
}
