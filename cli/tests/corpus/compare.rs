//! An answer against what is expected of it. Both are trees of JSON.

use regex::Regex;
use serde_json::{Value, json};

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

/// A comparison that lets everything pass would make every case a good one.
pub(crate) fn finds_differences() {
    let actual = json!({"status": 200, "headers": {"server": "envoy", "x-a": "12"}, "saw": null});
    let found = |expected: Value| differences(&expected, &actual);
    let good = json!({"status": 200, "headers": {"x-a": "~ ^[0-9]+$", "x-b": null}, "saw": null, "text": null});
    assert_eq!(found(good), Vec::<String>::new());
    for wrong in [
        json!({"status": 201}),
        json!({"status": null}),
        json!({"text": "a"}),
        json!({"headers": {"server": null}}),
        json!({"headers": {"server": "env"}}),
        json!({"headers": {"x-a": "~ ^[a-z]+$"}}),
        json!({"headers": {"x-b": "~ ."}}),
        json!({"saw": {"path": null}}),
    ] {
        assert_eq!(found(wrong.clone()).len(), 1, "{wrong}");
    }
}
