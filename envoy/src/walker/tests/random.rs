//! Messages made of a list of choices: shorter lists and smaller numbers make smaller messages, so failures shrink well.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::{encode, pool};

/// The types that resources are made of.
pub(super) fn types() -> &'static [MessageDescriptor] {
    static TYPES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
        let ours = |name: &str| ["envoy.", "xds.", "udpa."].iter().any(|package| name.starts_with(package));
        let messages = pool::pool().all_messages().filter(|message| !message.is_map_entry());
        messages.filter(|message| ours(message.full_name())).collect()
    });
    &TYPES
}

pub(super) fn message(of: &MessageDescriptor, choices: Vec<u8>) -> DynamicMessage {
    Random { choices: choices.into_iter() }.message(of, 0)
}

struct Random {
    choices: std::vec::IntoIter<u8>,
}

impl Random {
    /// The next choice; 0 when there are no more.
    fn next(&mut self) -> u8 {
        self.choices.next().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        let bits = [0, 1, 31, 32, 63, 64][usize::from(self.next() % 6)];
        let number = (0..8).fold(0_u64, |number, _| number << 8 | u64::from(self.next()));
        if bits == 0 { 0 } else { number >> (64 - bits) }
    }

    fn message(&mut self, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        match of.full_name() {
            "google.protobuf.Any" => return self.any(message, depth),
            "google.protobuf.Duration" | "google.protobuf.Timestamp" => {
                message.set_field_by_name("seconds", Value::I64((self.number() % 1_000_000).cast_signed()));
                message.set_field_by_name("nanos", Value::I32((self.number() % 1_000_000_000) as i32));
                return message;
            }
            "google.protobuf.FieldMask" => {
                message.set_field_by_name("paths", Value::List(vec![Value::String("a_b.c".to_owned())]));
                return message;
            }
            "google.protobuf.Value" => {
                message.set_field_by_name("number_value", Value::F64(f64::from(self.next())));
                return message;
            }
            _ => {}
        }
        for field in of.fields() {
            let free =
                field.containing_oneof().is_none_or(|oneof| !oneof.fields().any(|other| message.has_field(&other)));
            if free && depth < 8 && self.next() % 3 == 1 {
                let value = self.field(&field, depth);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn any(&mut self, mut any: DynamicMessage, depth: usize) -> DynamicMessage {
        let types = types();
        let inner = &types[(usize::from(self.next()) << 8 | usize::from(self.next())) % types.len()];
        let body = self.message(inner, depth + 2);
        any.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{}", inner.full_name())));
        any.set_field_by_name("value", Value::Bytes(encode::encode(&body).into()));
        any
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let kind = field.kind();
        let count = self.next() % 3;
        if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
            let (keys, values) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let entries = (0..count).filter_map(|_| Some((self.key(&keys)?, self.value(&values, depth))));
            return Value::Map(entries.collect::<HashMap<MapKey, Value>>());
        }
        if field.is_list() {
            return Value::List((0..count).map(|_| self.value(&kind, depth)).collect());
        }
        self.value(&kind, depth)
    }

    fn key(&mut self, kind: &Kind) -> Option<MapKey> {
        self.value(kind, 0).into_map_key()
    }

    fn value(&mut self, kind: &Kind, depth: usize) -> Value {
        match kind {
            Kind::Double => Value::F64(f64::from_bits(self.number())),
            Kind::Float => Value::F32(f32::from_bits(self.number() as u32)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.number() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.number().cast_signed()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.number() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.number()),
            Kind::Bool => Value::Bool(self.next() % 2 == 1),
            Kind::String => Value::String(["", "a", "é\"\n", "x/y"][usize::from(self.next() % 4)].to_owned()),
            Kind::Bytes => Value::Bytes((0..self.next() % 5).map(|_| self.next()).collect::<Vec<_>>().into()),
            Kind::Enum(of) => {
                let values = of.values().map(|value| value.number()).collect::<Vec<_>>();
                Value::EnumNumber(values[usize::from(self.next()) % values.len()])
            }
            Kind::Message(of) => Value::Message(self.message(of, depth + 1)),
        }
    }
}
