//! Route tables, and the listener, put together from encoded pieces: to protobuf, messages one after the other are one message.

use axoneme_envoy::ResourceKind;
use bytes::Bytes;
use serde_json::{Value, json};

use super::decode;
use crate::problem::Problem;

/// The name of a piece before it is taken off.
pub(super) const PIECE: &str = "-";
/// It as encoded: field 1, one byte.
const NAMED: &[u8] = b"\x0a\x01-";

/// A piece is part of tables with other names.
pub(super) fn without_name(encoded: Bytes) -> Bytes {
    if encoded.starts_with(NAMED) { encoded.slice(NAMED.len()..) } else { encoded }
}

/// What the table of all hosts has besides them.
///
/// # Errors
/// What Envoy would refuse.
pub fn pattern_head() -> Result<Bytes, Vec<Problem>> {
    // Hosts are compared without their port, so that `example.org:8080` needs no domain of its own.
    head(json!({ "ignore_port_in_host_matching": true }))
}

pub(super) fn head(fields: Value) -> Result<Bytes, Vec<Problem>> {
    let mut json = fields;
    json["@type"] = json!(ResourceKind::Route.type_url());
    json["name"] = json!(PIECE);
    Ok(without_name(decode(&json)?.encode()))
}

/// The table `name` with these hosts. Costs their bytes.
pub(super) fn table<'a>(name: &str, head: &'a Bytes, pieces: impl Iterator<Item = &'a Bytes>) -> Bytes {
    named(name, pieces.chain([head]))
}

/// The message `name`, which is in field 1, of these pieces.
pub(super) fn named<'a>(name: &str, pieces: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut message = Vec::new();
    prost::encoding::string::encode(1, &name.to_owned(), &mut message);
    pieces.for_each(|piece| message.extend_from_slice(piece));
    message.into()
}
