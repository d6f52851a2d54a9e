//! Rules for strings.

use prost_reflect::{DynamicMessage, Value};
use regex::Regex;

use crate::encode;

/// What a string must be.
#[derive(Default)]
pub(super) struct Text {
    /// In characters.
    min_len: usize,
    /// In characters.
    max_len: Option<usize>,
    max_bytes: Option<usize>,
    pattern: Option<Regex>,
    prefix: String,
    suffix: String,
    one_of: Vec<String>,
    header: Option<Header>,
    /// The empty string is always right.
    ignore_empty: bool,
}

/// What the name or the value of an HTTP header may hold. If not strict, only NUL and line ends are forbidden.
#[derive(Clone, Copy)]
enum Header {
    Name { strict: bool },
    Value { strict: bool },
}

impl Text {
    pub(super) fn compile(rules: &DynamicMessage, mut unknown: impl FnMut(&str)) -> Self {
        let mut text = Self::default();
        // Strict is the default of this rule.
        let strict = encode::get(rules, "strict").and_then(Value::as_bool) != Some(false);
        for (field, value) in rules.fields() {
            let size = || value.as_u64().and_then(|size| usize::try_from(size).ok());
            match field.name() {
                "min_len" => text.min_len = size().unwrap_or_default(),
                "max_len" => text.max_len = size(),
                "max_bytes" => text.max_bytes = size(),
                "prefix" => text.prefix = value.as_str().unwrap_or_default().to_owned(),
                "suffix" => text.suffix = value.as_str().unwrap_or_default().to_owned(),
                "ignore_empty" => text.ignore_empty = value.as_bool() == Some(true),
                "strict" => {}
                "in" => {
                    let values = value.as_list().unwrap_or_default();
                    text.one_of = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                }
                "pattern" => match Regex::new(value.as_str().unwrap_or_default()) {
                    Ok(pattern) => text.pattern = Some(pattern),
                    Err(_) => unknown("pattern"),
                },
                "well_known_regex" => match value.as_enum_number() {
                    Some(1) => text.header = Some(Header::Name { strict }),
                    Some(2) => text.header = Some(Header::Value { strict }),
                    _ => unknown("well_known_regex"),
                },
                other => unknown(other),
            }
        }
        text
    }

    /// Everything that is wrong with `value`.
    pub(super) fn violations(&self, value: &str) -> Vec<String> {
        if value.is_empty() && self.ignore_empty {
            return Vec::new();
        }
        let length = value.chars().count();
        // An empty string violates more than one rule, but only one is worth telling.
        if value.is_empty() && self.min_len > 0 {
            return vec!["must not be empty".to_owned()];
        }
        let mut found = Vec::new();
        if length < self.min_len {
            found.push(format!("must have at least {} characters, not {length}", self.min_len));
        }
        if let Some(max) = self.max_len.filter(|max| length > *max) {
            found.push(format!("must have at most {max} characters, not {length}"));
        }
        if let Some(max) = self.max_bytes.filter(|max| value.len() > *max) {
            found.push(format!("must have at most {max} bytes, not {}", value.len()));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(value)) {
            found.push(format!("must match {pattern}"));
        }
        if !value.starts_with(&self.prefix) {
            found.push(format!("must begin with {:?}", self.prefix));
        }
        if !value.ends_with(&self.suffix) {
            found.push(format!("must end with {:?}", self.suffix));
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|one| one == value) {
            found.push(format!("must be one of {}, not {value:?}", self.one_of.join(", ")));
        }
        found.extend(self.header.and_then(|header| header.violation(value)));
        found
    }
}

impl Header {
    fn violation(self, value: &str) -> Option<String> {
        let (what, wrong) = match self {
            Self::Name { strict: true } => {
                // One colon may come first, as in `:authority`.
                let name = value.strip_prefix(':').unwrap_or(value);
                if name.is_empty() {
                    return Some("is no valid header name: it is empty".to_owned());
                }
                ("name", name.chars().find(|character| !is_token(*character)))
            }
            Self::Value { strict: true } => {
                ("value", value.chars().find(|character| character.is_ascii_control() && *character != '\t'))
            }
            Self::Name { strict: false } => ("name", value.chars().find(|character| ends_line(*character))),
            Self::Value { strict: false } => ("value", value.chars().find(|character| ends_line(*character))),
        };
        wrong.map(|character| format!("is no valid header {what}: {character:?} may not be in it"))
    }
}

fn ends_line(character: char) -> bool {
    matches!(character, '\0' | '\n' | '\r')
}

/// The characters of a header name, as in protoc-gen-validate: a token of RFC 9110, and the comma.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+,-.^_|~`".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_rules() {
        let ok = |header: Header, value: &str| header.violation(value).is_none();
        let name = Header::Name { strict: true };
        assert!(ok(name, "x-request-id") && ok(name, ":path"));
        assert!(!ok(name, "x y") && !ok(name, "") && !ok(name, "a:b") && !ok(name, "é"));
        let value = Header::Value { strict: true };
        assert!(ok(value, "") && ok(value, "a\tb é"));
        assert!(!ok(value, "a\u{7f}") && !ok(value, "a\nb"));
        assert!(ok(Header::Name { strict: false }, "") && ok(Header::Name { strict: false }, "a b\u{1}"));
        assert!(!ok(Header::Name { strict: false }, "a\r"));
        assert!(ok(Header::Value { strict: false }, "\u{7f}") && !ok(Header::Value { strict: false }, "a\0"));
    }
}
