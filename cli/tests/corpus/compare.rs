//! An answer against what is expected of it. Both are trees of JSON.

use regex::Regex;
use serde_json::Value;

/// Everything in which `actual` is not as `expected`.
///
/// Fields that are not expected may be there. `null` is for a field that must not be there, a text that begins with `~ ` is a
/// regular expression to be found, a list must match from end to end.
pub(crate) fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(expected, actual, "", &mut found);
    found
}

fn compare(expected: &Value, actual: &Value, path: &str, found: &mut Vec<String>) {
    let equal = match (expected, actual) {
        (Value::Object(fields), Value::Object(_)) => {
            for (name, expected) in fields {
                compare(expected, &actual[name], &format!("{path}.{name}"), found);
            }
            true
        }
        (Value::String(pattern), Value::String(text)) => match pattern.strip_prefix("~ ") {
            Some(pattern) => Regex::new(pattern).unwrap_or_else(|error| panic!("{error}")).is_match(text),
            None => pattern == text,
        },
        (expected, actual) => expected == actual,
    };
    if !equal {
        found.push(format!("{} is {actual}, expected {expected}", path.trim_start_matches('.')));
    }
}
