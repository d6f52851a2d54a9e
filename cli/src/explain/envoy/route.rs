//! Whether a route's `match` takes a request, and why not.

use serde_json::Value;

use super::{
    super::request::Request,
    When, list,
    text::{fits, header_fits, is_regex},
};

/// Whether a route takes a request.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Verdict {
    Takes(When),
    /// The first condition that does not hold.
    Passes(String),
}

/// One condition of a match.
enum Condition {
    Holds,
    Fails(String),
    /// Cannot be known from a request.
    Unknown(String),
}

/// Judges a RouteMatch. `ignores_parameters` is `ignore_path_parameters_in_path_matching` of the route configuration.
pub(in super::super) fn verdict(of: &Value, request: &Request, ignores_parameters: bool) -> Verdict {
    let mut when = When::ALWAYS;
    let conditions = std::iter::once(path(of, request, ignores_parameters))
        .chain(list(&of["headers"]).iter().map(|matcher| header(matcher, request)))
        .chain(list(&of["query_parameters"]).iter().map(|matcher| query(matcher, request)))
        .chain(list(&of["cookies"]).iter().map(|matcher| cookie(matcher, request)))
        .chain(of.get("grpc").map(|_| grpc(request)))
        .chain(["tls_context", "dynamic_metadata", "filter_state"].into_iter().flat_map(|name| unknown(of, name)));
    for condition in conditions {
        match condition {
            Condition::Holds => {}
            Condition::Fails(why) => return Verdict::Passes(why),
            Condition::Unknown(what) => when.only_if.push(what),
        }
    }
    if let Some(fraction) = of.get("runtime_fraction") {
        when.share = share(&fraction["default_value"]);
        if when.share <= 0.0 {
            return Verdict::Passes("runtime_fraction is 0%".to_owned());
        }
    }
    Verdict::Takes(when)
}

fn judged(holds: Option<bool>, what: impl FnOnce() -> String) -> Condition {
    match holds {
        Some(true) => Condition::Holds,
        Some(false) => Condition::Fails(what()),
        None => Condition::Unknown(what()),
    }
}

fn path(of: &Value, request: &Request, ignores_parameters: bool) -> Condition {
    let bare = request.bare_path();
    let bare = if ignores_parameters { bare.split(';').next().unwrap_or_default() } else { bare };
    let ignore_case = of["case_sensitive"].as_bool() == Some(false);
    let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let (asked, text) = (fold(bare), |name: &str| of[name].as_str());
    let fails = |word: &str, wanted: &str| format!("path {bare:?} {word} {wanted:?}");
    if let Some(exact) = text("path") {
        return judged(Some(asked == fold(exact)), || fails("is not", exact));
    }
    if let Some(prefix) = text("prefix") {
        return judged(Some(asked.starts_with(&fold(prefix))), || fails("does not begin with", prefix));
    }
    if let Some(prefix) = text("path_separated_prefix") {
        let rest = asked.strip_prefix(&fold(prefix)).map(|rest| rest.is_empty() || rest.starts_with('/'));
        return judged(Some(rest == Some(true)), || fails("is not below", prefix));
    }
    if let Some(regex) = of.get("safe_regex") {
        let expression = regex["regex"].as_str().unwrap_or_default();
        return judged(is_regex(regex, bare), || fails("does not match", expression));
    }
    if of.get("connect_matcher").is_some() {
        let is_connect = request.header(":method") == Some("CONNECT");
        return judged(Some(is_connect), || "the method is not CONNECT".to_owned());
    }
    if of.get("path_match_policy").is_some() {
        return Condition::Unknown("the path fits path_match_policy".to_owned());
    }
    Condition::Holds
}

fn header(matcher: &Value, request: &Request) -> Condition {
    let name = matcher["name"].as_str().unwrap_or_default();
    let values = request.values(name);
    let is = if values.is_empty() { "is missing".to_owned() } else { format!("is {:?}", values.join(", ")) };
    judged(header_fits(matcher, &values), || format!("header {name} {is}, wanted {}", wanted(matcher)))
}

fn query(matcher: &Value, request: &Request) -> Condition {
    let name = matcher["name"].as_str().unwrap_or_default();
    let value = request.query(name);
    let holds = match (&matcher["string_match"], value) {
        (Value::Null, value) => Some(value.is_some() == matcher["present_match"].as_bool().unwrap_or(true)),
        (_, None) => Some(false),
        (text, Some(value)) => fits(text, value),
    };
    let is = value.map_or_else(|| "is missing".to_owned(), |value| format!("is {value:?}"));
    judged(holds, || format!("query parameter {name} {is}, wanted {}", wanted(matcher)))
}

fn cookie(matcher: &Value, request: &Request) -> Condition {
    let name = matcher["name"].as_str().unwrap_or_default();
    let inverted = matcher["invert_match"].as_bool() == Some(true);
    let value = request.cookie(name);
    let holds = match &value {
        Some(value) => fits(&matcher["string_match"], value).map(|fits| fits != inverted),
        None => Some(inverted),
    };
    let is = value.as_deref().map_or_else(|| "is missing".to_owned(), |value| format!("is {value:?}"));
    judged(holds, || format!("cookie {name} {is}, wanted {}", wanted(matcher)))
}

fn grpc(request: &Request) -> Condition {
    let type_ = request.header("content-type").unwrap_or_default();
    let is_grpc = type_ == "application/grpc" || type_.starts_with("application/grpc+");
    judged(Some(is_grpc), || "content-type is not application/grpc".to_owned())
}

fn unknown(of: &Value, name: &str) -> Vec<Condition> {
    match &of[name] {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().map(|it| Condition::Unknown(format!("{name} is {it}"))).collect(),
        it => vec![Condition::Unknown(format!("{name} is {it}"))],
    }
}

/// A matcher's conditions, without the name that they are about.
fn wanted(matcher: &Value) -> String {
    let mut conditions = matcher.clone();
    conditions.as_object_mut().map(|fields| fields.remove("name"));
    super::action::plain(&conditions)
}

/// A FractionalPercent as a share of 1.
fn share(percent: &Value) -> f64 {
    let of = match percent["denominator"].as_str() {
        Some("TEN_THOUSAND") => 1e4,
        Some("MILLION") => 1e6,
        _ => 1e2,
    };
    (percent["numerator"].as_f64().unwrap_or_default() / of).min(1.0)
}
