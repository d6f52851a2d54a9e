//! Envoy's StringMatcher and HeaderMatcher.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// Whether a text fits a StringMatcher; none when that cannot be known here.
pub(super) fn fits(matcher: &Value, text: &str) -> Option<bool> {
    let ignore_case = matcher["ignore_case"].as_bool() == Some(true);
    let fold = |text: &'_ str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let field = |name: &str| matcher[name].as_str().map(fold);
    let text = fold(text);
    if let Some(exact) = field("exact") {
        return Some(text == exact);
    }
    if let Some(prefix) = field("prefix") {
        return Some(text.starts_with(&prefix));
    }
    if let Some(suffix) = field("suffix") {
        return Some(text.ends_with(&suffix));
    }
    if let Some(part) = field("contains") {
        return Some(text.contains(&part));
    }
    // Here the case is the expression's own affair.
    is_regex(&matcher["safe_regex"], &text)
}

/// Whether a whole text fits a RegexMatcher; none without a usable expression.
pub(super) fn is_regex(matcher: &Value, text: &str) -> Option<bool> {
    Some(whole(matcher["regex"].as_str()?)?.is_match(text))
}

fn whole(expression: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{expression})$")).dot_matches_new_line(false).build().ok()
}

/// Whether a header with these values fits a HeaderMatcher; none when that cannot be known here.
///
/// One value that fits is enough, and is one too many for an inverted matcher. A header that is missing fits nothing,
/// inverted or not, unless it counts as empty. Presence is another matter.
pub(super) fn header_fits(matcher: &Value, values: &[&str]) -> Option<bool> {
    let inverted = matcher["invert_match"].as_bool() == Some(true);
    let as_empty = matcher["treat_missing_header_as_empty"].as_bool() == Some(true);
    if let Some(wanted) = presence(matcher) {
        return Some(((!values.is_empty() || as_empty) == wanted) != inverted);
    }
    let values = match values {
        [] if as_empty => &[""],
        [] => return Some(false),
        values => values,
    };
    let judged: Option<Vec<bool>> = values.iter().map(|value| value_fits(matcher, value)).collect();
    Some(judged?.contains(&true) != inverted)
}

/// The presence that a matcher asks for, which is what one without any condition asks for.
fn presence(matcher: &Value) -> Option<bool> {
    let conditions = matcher.as_object()?.keys().filter(|key| key.ends_with("_match") && *key != "invert_match");
    match conditions.collect::<Vec<_>>()[..] {
        [] => Some(true),
        _ => matcher["present_match"].as_bool(),
    }
}

fn value_fits(matcher: &Value, value: &str) -> Option<bool> {
    let old = |name: &str| matcher[name].as_str();
    if let Some(exact) = old("exact_match") {
        return Some(value == exact);
    }
    if let Some(prefix) = old("prefix_match") {
        return Some(value.starts_with(prefix));
    }
    if let Some(suffix) = old("suffix_match") {
        return Some(value.ends_with(suffix));
    }
    if let Some(part) = old("contains_match") {
        return Some(value.contains(part));
    }
    if matcher.get("safe_regex_match").is_some() {
        return is_regex(&matcher["safe_regex_match"], value);
    }
    if matcher.get("range_match").is_some() {
        let bound = |name: &str| number(&matcher["range_match"][name]).unwrap_or(0);
        // The end is not part of it.
        return Some(value.parse::<i64>().is_ok_and(|it| bound("start") <= it && it < bound("end")));
    }
    fits(&matcher["string_match"], value)
}

/// Protobuf writes 64-bit numbers as texts.
fn number(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.parse().ok())
}
