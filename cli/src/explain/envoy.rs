//! What Envoy decides about a connection and a request, decided again from its configuration as JSON.
//!
//! Each decision is a pure function. Facts are those of Envoy's API documentation, and the tests ask a real Envoy.

use serde_json::Value;

pub(super) mod action;
pub(super) mod chain;
pub(super) mod host;
pub(super) mod route;
pub(super) mod text;

/// What a decision depends on beyond the request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct When {
    /// The share of requests that it holds for, from 0 to 1.
    pub(super) share: f64,
    /// What must hold that cannot be known from a request: metadata, client certificates.
    pub(super) only_if: Vec<String>,
}

impl When {
    pub(super) const ALWAYS: Self = Self { share: 1.0, only_if: Vec::new() };

    /// Whether nothing is left for what comes after.
    pub(super) fn is_always(&self) -> bool {
        self.share >= 1.0 && self.only_if.is_empty()
    }
}

pub(super) fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// Texts of a list.
pub(super) fn texts(json: &Value) -> impl Iterator<Item = &str> {
    list(json).iter().filter_map(Value::as_str)
}

/// The type of a typed extension, without its package: `HttpConnectionManager`.
pub(super) fn type_of(config: &Value) -> &str {
    config["@type"].as_str().unwrap_or_default().rsplit(['.', '/']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
