//! Names in an encoded message, wherever they stand.
//!
//! A cluster's name may stand in a route, in a filter, in an extension inside an Any: only who has the descriptors knows all
//! places. Without them a message still shows its strings: every length-delimited field is one, or a message, or both to
//! the eye.

/// Messages do not nest deeper than this; Envoy itself stops at 100.
const DEPTH: u8 = 100;

/// The first string anywhere in `message` that is `wanted`. Costs the bytes of the message, times how deep they lie.
pub(crate) fn mention<'a>(message: &'a [u8], wanted: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    search(message, wanted, DEPTH)
}

fn search<'a>(mut message: &'a [u8], wanted: &dyn Fn(&str) -> bool, depth: u8) -> Option<&'a str> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => drop(varint(&mut message)?),
            1 => drop(take(&mut message, 8)?),
            2 => {
                let length = varint(&mut message)?;
                let field = take(&mut message, length)?;
                let own = std::str::from_utf8(field).ok().filter(|text| wanted(text));
                let inner = || depth.checked_sub(1).and_then(|depth| search(field, wanted, depth));
                if let Some(found) = own.or_else(inner) {
                    return Some(found);
                }
            }
            5 => drop(take(&mut message, 4)?),
            // Groups are not in use, and the rest is no message.
            _ => return None,
        }
    }
    None
}

/// A length is encoded as every other number.
pub(crate) fn varint(from: &mut &[u8]) -> Option<usize> {
    prost::decode_length_delimiter(from).ok()
}

pub(crate) fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::{Any, Struct, Value, value::Kind};

    use super::*;

    /// An Any with a tree in it: `{"a": [1, "outer", {"b": "inner"}]}`.
    fn message() -> Vec<u8> {
        let value = |kind| Value { kind: Some(kind) };
        let text = |text: &str| value(Kind::StringValue(text.to_owned()));
        let tree = |name: &str, value| Struct { fields: [(name.to_owned(), value)].into() };
        let list =
            vec![value(Kind::NumberValue(1.0)), text("outer"), value(Kind::StructValue(tree("b", text("inner"))))];
        let value = tree("a", value(Kind::ListValue(prost_types::ListValue { values: list })));
        Any { type_url: "type".to_owned(), value: value.encode_to_vec() }.encode_to_vec()
    }

    #[test]
    fn names_are_found_at_every_depth_and_whole() {
        let message = message();
        for name in ["type", "a", "outer", "b", "inner"] {
            assert_eq!(mention(&message, &|text| text == name), Some(name));
        }
        assert_eq!(mention(&message, &|text| text == "inne" || text == "nner"), None);
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_trouble() {
        let message = message();
        for end in 0..message.len() {
            let whole = mention(&message[..end], &|text| text == "inner");
            assert!(whole.is_none(), "{end} of {}", message.len());
        }
        // A field of 4 GB, in eleven bytes.
        assert_eq!(mention(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0], &|_| true), None);
    }

    #[test]
    fn nesting_has_an_end() {
        let mut message = b"deep".to_vec();
        for _ in 0..2000 {
            let mut outer = vec![0x0a];
            prost::encode_length_delimiter(message.len(), &mut outer).unwrap();
            outer.append(&mut message);
            message = outer;
        }
        assert_eq!(mention(&message, &|text| text == "deep"), None);
    }
}
