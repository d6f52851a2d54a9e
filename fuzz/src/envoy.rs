//! Envoy's descriptors as a source of JSON that is nearly right: fields that a message has, with values of their kind.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

use crate::random::Random;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let set = include_bytes!("../../envoy/descriptors/envoy-1.40.0.binpb");
    DescriptorPool::decode(set.as_slice()).unwrap_or_default()
});

/// Messages that can stand in an Any.
static PACKABLE: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    let packable = |message: &MessageDescriptor| !message.is_map_entry() && message.full_name().contains(".v3.");
    POOL.all_messages().filter(packable).collect()
});

/// Strings that mean something to Envoy or to the checks.
const TEXTS: [&str; 16] = [
    "",
    "a",
    "*",
    "/",
    "default/web:80",
    "envoy.filters.http.router",
    "cilium.l7policy",
    "1s",
    "-0.000000001s",
    "127.0.0.1",
    "%FILE_CONTENT(/etc/passwd)%",
    "(((a",
    "x\0y",
    "ключ",
    "type.googleapis.com/google.protobuf.Any",
    "1970-01-01T00:00:00Z",
];

/// The message that an `@type` names.
pub(crate) fn message(type_url: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(type_url.rsplit('/').next()?)
}

/// The field that a key of an object of this message means.
pub(crate) fn field(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(key).or_else(|| message.get_field_by_json_name(key))
}

/// A field of a message with a value for it.
pub(crate) fn any_field(message: &MessageDescriptor, random: &mut Random) -> Option<(String, Json)> {
    let fields = message.fields().collect::<Vec<_>>();
    let field = random.pick(&fields)?;
    Some((field.name().to_owned(), whole_field(field, random, 3)))
}

/// An item of a list, or a value of a map, or all of any other field.
pub(crate) fn part_of_field(field: &FieldDescriptor, random: &mut Random) -> Json {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => value(&entry.map_entry_value_field().kind(), random, 2),
        kind => value(&kind, random, 2),
    }
}

/// A message of any type, as an Any has it.
pub(crate) fn packed(random: &mut Random, depth: usize) -> Json {
    let Some(message) = random.pick(&PACKABLE).cloned() else { return Json::Null };
    let mut object = fields(&message, random, depth);
    object.insert("@type".to_owned(), format!("type.googleapis.com/{}", message.full_name()).into());
    Json::Object(object)
}

fn whole_field(field: &FieldDescriptor, random: &mut Random, depth: usize) -> Json {
    let kind = field.kind();
    match &kind {
        Kind::Message(entry) if field.is_map() => {
            let key = random.pick(&TEXTS).copied().unwrap_or_default().to_owned();
            Map::from_iter([(key, value(&entry.map_entry_value_field().kind(), random, depth))]).into()
        }
        _ if field.is_list() => (0..random.below(3)).map(|_| value(&kind, random, depth)).collect(),
        _ => value(&kind, random, depth),
    }
}

/// A value of a kind; once in a while, of another one.
pub(crate) fn value(kind: &Kind, random: &mut Random, depth: usize) -> Json {
    match kind {
        _ if random.one_in(12) => other(random),
        Kind::Message(message) => known(message, random, depth),
        Kind::Enum(of) => {
            let names = of.values().map(|value| value.name().to_owned()).collect::<Vec<_>>();
            random.pick(&names).cloned().into()
        }
        Kind::Bool => random.one_in(2).into(),
        Kind::String => random.pick(&TEXTS).copied().into(),
        Kind::Bytes => random.pick(&["", "AA==", "_-8", "A"]).copied().into(),
        Kind::Double | Kind::Float => random.pick(&[json!(0.5), json!("NaN"), json!(-1e300)]).cloned().into(),
        _ => {
            let bits = random.below(34);
            random.below(1 << bits).into()
        }
    }
}

fn known(message: &MessageDescriptor, random: &mut Random, depth: usize) -> Json {
    match message.full_name() {
        "google.protobuf.Any" => packed(random, depth.saturating_sub(1)),
        "google.protobuf.Duration" => random.pick(&["0s", "0.25s", "-1s", "315576000000s"]).copied().into(),
        "google.protobuf.Struct" => json!({ "a": other(random) }),
        "google.protobuf.Value" | "google.protobuf.Timestamp" => other(random),
        name => match name.strip_prefix("google.protobuf.").filter(|name| name.ends_with("Value")) {
            Some(_) => message.get_field_by_name("value").map_or(Json::Null, |field| value(&field.kind(), random, 0)),
            None => fields(message, random, depth).into(),
        },
    }
}

fn fields(message: &MessageDescriptor, random: &mut Random, depth: usize) -> Map<String, Json> {
    let all = message.fields().collect::<Vec<_>>();
    let wanted = if depth == 0 { 0 } else { random.below(all.len().min(4) + 1) };
    let chosen = (0..wanted).filter_map(|_| random.pick(&all).cloned()).collect::<Vec<_>>();
    chosen.iter().map(|field| (field.name().to_owned(), whole_field(field, random, depth - 1))).collect()
}

/// JSON of any kind.
fn other(random: &mut Random) -> Json {
    let values =
        [json!(null), json!({}), json!([]), json!(true), json!(-1), json!(1e308), json!(u64::MAX), json!([[]])];
    if random.one_in(2) { random.pick(&TEXTS).copied().into() } else { random.pick(&values).cloned().into() }
}
