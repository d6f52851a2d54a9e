//! Mutations of JSON that keep it JSON: what a byte-wise mutation hardly ever gets past, the parser, is not what is tested.
//!
//! An edit goes down from the root to a random place and changes it by what the message there, named by `@type`, can have.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};

use crate::{envoy, random::Random};

/// Mutates the JSON in the first `size` bytes of `data` in place. Gives the new size, or `None` when it is no JSON, does not
/// fit any more, or it is the bytes' turn.
pub fn json(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> Option<usize> {
    let mut random = Random::new(seed);
    if random.one_in(10) {
        return None;
    }
    let mut json: Json = serde_json::from_slice(data.get(..size)?).ok()?;
    for _ in 0..=random.below(4) {
        edit(&mut json, None, &mut random);
    }
    let text = json.to_string();
    data.get_mut(..max_size)?.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(text.len())
}

/// Changes something at or below `json`, which is the value of `field`, or a part of it.
fn edit(json: &mut Json, field: Option<&FieldDescriptor>, random: &mut Random) {
    match json {
        Json::Object(object) => {
            let own = object.get("@type").and_then(Json::as_str).and_then(envoy::message);
            let message = own.or_else(|| match field?.kind() {
                Kind::Message(message) if !message.is_map_entry() => Some(message),
                _ => None,
            });
            edit_object(object, message.as_ref(), field, random);
        }
        Json::Array(items) if !items.is_empty() && !random.one_in(3) => {
            let at = random.below(items.len());
            edit(&mut items[at], field, random);
        }
        Json::Array(items) => edit_list(items, field, random),
        scalar => *scalar = field.map_or(Json::Null, |field| envoy::value(&field.kind(), random, 2)),
    }
}

fn edit_object(
    object: &mut Map<String, Json>,
    message: Option<&MessageDescriptor>,
    field: Option<&FieldDescriptor>,
    random: &mut Random,
) {
    let keys = object.keys().cloned().collect::<Vec<_>>();
    let key = random.pick(&keys).cloned().unwrap_or_default();
    match (random.below(12), message) {
        // A map of a message: its values are of the map's field still.
        (0..8, _) if let Some(inner) = object.get_mut(&key) => {
            let next = message.map_or(field.cloned(), |message| envoy::field(message, &key));
            if key == "@type" && random.one_in(2) {
                *inner = envoy::packed(random, 0).get("@type").cloned().unwrap_or_default();
            } else {
                edit(inner, next.as_ref(), random);
            }
        }
        (8, _) => drop(object.remove(&key)),
        (9, _) => {
            if let Some(inner) = object.remove(&key) {
                object.insert(format!("{key}_"), inner);
            }
        }
        (_, Some(message)) => object.extend(envoy::any_field(message, random)),
        (_, None) => drop(object.insert(key, field.map_or(Json::Null, |field| envoy::part_of_field(field, random)))),
    }
}

fn edit_list(items: &mut Vec<Json>, field: Option<&FieldDescriptor>, random: &mut Random) {
    let at = random.below(items.len());
    match random.below(5) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if let Some(item) = items.get(at).cloned() => items.insert(at, item),
        2 if let Some(item) = items.get(at).cloned() => items.extend(vec![item; 8]),
        3 if !items.is_empty() => items.rotate_left(at),
        _ => items.push(field.map_or(Json::Null, |field| envoy::part_of_field(field, random))),
    }
}
