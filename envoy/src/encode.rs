//! Deterministic bytes, and small helpers to read and write fields of a [`DynamicMessage`].
//!
//! The bytes' hash is the resource's version, so the same content must always give the same bytes. Fields come in the order
//! of their numbers already; maps are hash maps and have to be sorted.

use prost::{Message as _, encoding};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

/// The bytes of `message`, equal for equal messages. Costs O(size).
pub(crate) fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (field, value) in message.fields() {
        encode_field(&field, value, &mut bytes);
    }
    for field in message.unknown_fields() {
        field.encode(&mut bytes);
    }
    bytes
}

fn encode_field(field: &FieldDescriptor, value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Message(message) => encode_message(field.number(), message, bytes),
        Value::List(items) if matches!(field.kind(), Kind::Message(_)) => {
            for item in items.iter().filter_map(Value::as_message) {
                encode_message(field.number(), item, bytes);
            }
        }
        Value::Map(entries) => {
            let Kind::Message(entry) = field.kind() else { return };
            for (key, value) in sorted(entries) {
                let mut message = DynamicMessage::new(entry.clone());
                message.set_field(&entry.map_entry_key_field(), key.clone().into());
                message.set_field(&entry.map_entry_value_field(), value.clone());
                encode_message(field.number(), &message, bytes);
            }
        }
        scalar => {
            let mut message = DynamicMessage::new(field.parent_message().clone());
            message.set_field(field, scalar.clone());
            bytes.extend(message.encode_to_vec());
        }
    }
}

fn encode_message(number: u32, message: &DynamicMessage, bytes: &mut Vec<u8>) {
    let body = encode(message);
    encoding::encode_key(number, encoding::WireType::LengthDelimited, bytes);
    encoding::encode_varint(body.len() as u64, bytes);
    bytes.extend(body);
}

/// The entries of a map in the order of their keys.
pub(crate) fn sorted(map: &std::collections::HashMap<MapKey, Value>) -> Vec<(&MapKey, &Value)> {
    let mut entries = map.iter().collect::<Vec<_>>();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// A map key as the text that it is in JSON.
pub(crate) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
        MapKey::String(value) => value.clone(),
    }
}

/// A string field; empty if it is not set.
pub(crate) fn str_field<'a>(message: &'a DynamicMessage, field: &FieldDescriptor) -> &'a str {
    message.fields().find(|(set, _)| set == field).and_then(|(_, value)| value.as_str()).unwrap_or_default()
}

/// A field by name if it is set.
pub(crate) fn get<'a>(message: &'a DynamicMessage, name: &str) -> Option<&'a Value> {
    message.fields().find(|(field, _)| field.name() == name).map(|(_, value)| value)
}

/// A string by name; empty if it is not set.
pub(crate) fn get_str<'a>(message: &'a DynamicMessage, name: &str) -> &'a str {
    get(message, name).and_then(Value::as_str).unwrap_or_default()
}

/// A message by name if it is set.
pub(crate) fn get_message<'a>(message: &'a DynamicMessage, name: &str) -> Option<&'a DynamicMessage> {
    get(message, name).and_then(Value::as_message)
}

/// The message in an Any, if its type is known and its bytes are right.
pub(crate) fn unpack(any: &DynamicMessage) -> Option<DynamicMessage> {
    let descriptor = crate::pool::message_of(get_str(any, "type_url"))?;
    let bytes = get(any, "value").and_then(Value::as_bytes).cloned().unwrap_or_default();
    DynamicMessage::decode(descriptor, bytes).ok()
}

/// Whether `message` is a `google.protobuf.Any`.
pub(crate) fn is_any(message: &DynamicMessage) -> bool {
    message.descriptor().full_name() == "google.protobuf.Any"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::decode;

    #[test]
    fn maps_are_sorted_in_nested_messages_too() {
        let keys = (0..40).map(|key| (format!("key{key}"), json!(key))).collect::<serde_json::Map<_, _>>();
        let metadata = json!({"filter_metadata": {"one": keys, "two": keys, "three": {"nested": keys}}});
        let json = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "c",
            "connect_timeout": "1s",
            "metadata": metadata,
        });
        let bytes = decode(&json, "r").ok().unwrap().encode();
        for _ in 0..20 {
            assert_eq!(decode(&json, "r").ok().unwrap().encode(), bytes);
        }
    }
}
