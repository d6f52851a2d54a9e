//! Envoy's own constraint rules, interpreted by reflection.
//!
//! Envoy's messages carry rules in the options of their fields (protoc-gen-validate: `min_len`, `required`, `gte` ...). Envoy
//! checks them when it reads a resource and reports the first one that is violated, without its path. Here all of them are
//! checked before, each with its path.

mod rules;
mod text;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::LazyLock,
};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use self::rules::{Check, MessageRules, Range, Rule, Size};
use crate::{Problem, Severity, encode, path::Path, pool, problem, visit};

/// All rules by message name. About 1,300 of them, compiled at first use.
static RULES: LazyLock<HashMap<String, MessageRules>> = LazyLock::new(|| rules::compile(pool::pool()).0);

/// Appends every violated rule in `message` to `problems`.
///
/// If there are errors already, `message` is incomplete: then what is missing breaks no rule, and what was wrong before is
/// not told again.
pub(crate) fn check(message: &DynamicMessage, mut path: Path, problems: &mut Vec<Problem>) {
    let told = problems.iter().filter(|problem| problem.is_error()).map(|problem| problem.path.clone());
    let told = told.collect::<BTreeSet<_>>();
    let mut found = Vec::new();
    visit::visit(message, &mut path, &mut Constraints { complete: told.is_empty(), problems: &mut found });
    problems.extend(found.into_iter().filter(|problem| !told.contains(&problem.path)));
}

struct Constraints<'a> {
    complete: bool,
    problems: &'a mut Vec<Problem>,
}

impl visit::Visitor for Constraints<'_> {
    fn message(&mut self, message: &DynamicMessage, path: &Path) {
        let Some(rules) = RULES.get(message.descriptor().full_name()) else { return };
        for oneof in &rules.required {
            if self.complete && !oneof.fields().any(|field| message.has_field(&field)) {
                let members = oneof.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>();
                self.error(path, format!("needs one of {}", members.join(", ")));
            }
        }
        for (field, rule) in &rules.fields {
            let mut path = path.clone();
            path.field(field.name());
            self.field(message, field, rule, &mut path);
        }
    }

    fn skips(&self, field: &FieldDescriptor) -> bool {
        let rules = RULES.get(field.parent_message().full_name());
        rules.is_some_and(|rules| rules.fields.iter().any(|(ruled, rule)| ruled == field && rule.skip))
    }
}

impl Constraints<'_> {
    fn error(&mut self, path: &Path, message: impl Into<String>) {
        problem::tell(self.problems, Severity::Error, || Problem::error(path.as_str(), message));
    }

    fn field(&mut self, message: &DynamicMessage, field: &FieldDescriptor, rule: &Rule, path: &mut Path) {
        if !message.has_field(field) && !self.complete {
            return;
        }
        if !message.has_field(field) && field.supports_presence() {
            // A member of a oneof is bound only by the oneof's own rule.
            if rule.required && field.containing_oneof().is_none() {
                self.error(path, "is required");
            }
            return;
        }
        let kind = field.kind();
        match (&rule.check, &*message.get_field(field)) {
            (Check::List { size, unique, items }, Value::List(values)) => {
                self.size(size, values.len(), "items", path);
                self.list(values, *unique, items.as_deref(), &kind, path);
            }
            (Check::Map { size, keys, values }, Value::Map(entries)) => {
                self.size(size, entries.len(), "entries", path);
                for (key, value) in encode::sorted(entries) {
                    let mark = path.mark();
                    path.key(&encode::key_text(key));
                    self.maybe(keys.as_deref(), &key.clone().into(), &kind, path);
                    self.maybe(values.as_deref(), value, &kind, path);
                    path.back(mark);
                }
            }
            (check, value) => self.value(check, value, &kind, path),
        }
    }

    fn list<'a>(&mut self, values: &'a [Value], unique: bool, items: Option<&Check>, kind: &Kind, path: &mut Path) {
        let mut texts = HashSet::new();
        // Only enums can be unique besides, and there are few of those.
        let mut repeats = |index: usize, value: &'a Value| match value.as_str() {
            Some(text) => !texts.insert(text),
            None => values[..index].contains(value),
        };
        for (index, value) in values.iter().enumerate() {
            let mark = path.mark();
            path.index(index);
            if unique && repeats(index, value) {
                self.error(path, "is already in the list");
            }
            self.maybe(items, value, kind, path);
            path.back(mark);
        }
    }

    fn maybe(&mut self, check: Option<&Check>, value: &Value, kind: &Kind, path: &Path) {
        if let Some(check) = check {
            self.value(check, value, kind, path);
        }
    }

    fn size(&mut self, size: &Size, count: usize, what: &str, path: &Path) {
        match size {
            Size { min: Some(1), .. } if count == 0 => self.error(path, "must not be empty"),
            Size { min: Some(min), .. } if count < *min => {
                self.error(path, format!("must have at least {min} {what}, not {count}"));
            }
            Size { max: Some(max), .. } if count > *max => {
                self.error(path, format!("must have at most {max} {what}, not {count}"));
            }
            Size { .. } => {}
        }
    }

    fn value(&mut self, check: &Check, value: &Value, kind: &Kind, path: &Path) {
        // The rule of a wrapper type is one for the value in it.
        if let Value::Message(message) = value
            && crate::walker::is_wrapper(message.descriptor().full_name())
        {
            if let Some(inner) = message.get_field_by_name("value") {
                self.value(check, &inner, kind, path);
            }
            return;
        }
        match check {
            Check::Nothing | Check::List { .. } | Check::Map { .. } => {}
            Check::Int(range) => self.maybe_outside(integer(value).and_then(|value| range.violation(value)), path),
            Check::Float(range) => self.maybe_outside(float(value).and_then(|value| range.violation(value)), path),
            Check::Duration(range) => {
                let nanos = value.as_message().map(nanos).map(rules::Nanos);
                self.maybe_outside(nanos.and_then(|nanos| range.violation(nanos)), path);
            }
            Check::Bool(only) => {
                if value.as_bool().is_some_and(|value| value != *only) {
                    self.error(path, format!("must be {only}"));
                }
            }
            Check::Text(text) => {
                for violation in value.as_str().map(|value| text.violations(value)).unwrap_or_default() {
                    self.error(path, violation);
                }
            }
            Check::Bytes(size) => self.size(size, value.as_bytes().map_or(0, |bytes| bytes.len()), "bytes", path),
            Check::Enum { defined_only, not_in } => {
                let (Some(number), Kind::Enum(of)) = (value.as_enum_number(), kind) else { return };
                let name = of.get_value(number);
                if *defined_only && name.is_none() {
                    self.error(path, format!("{number} is no value of {}", of.full_name()));
                } else if not_in.contains(&number) {
                    let name = name.map_or_else(|| number.to_string(), |value| value.name().to_owned());
                    self.error(path, format!("must not be {name}"));
                }
            }
        }
    }

    fn maybe_outside(&mut self, violation: Option<String>, path: &Path) {
        if let Some(violation) = violation {
            self.error(path, violation);
        }
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I32(value) => Some((*value).into()),
        Value::I64(value) => Some((*value).into()),
        Value::U32(value) => Some((*value).into()),
        Value::U64(value) => Some((*value).into()),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_f32().map(f64::from))
}

/// A Duration in nanoseconds.
fn nanos(duration: &DynamicMessage) -> i128 {
    let seconds = encode::get(duration, "seconds").and_then(Value::as_i64).unwrap_or_default();
    let nanos = encode::get(duration, "nanos").and_then(Value::as_i32).unwrap_or_default();
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

impl<T: PartialOrd + std::fmt::Display + Copy + Default> Range<T> {
    /// What is wrong with `value`, if anything.
    fn violation(&self, value: T) -> Option<String> {
        if self.ignore_empty && value == T::default() {
            return None;
        }
        let above = self.gt.is_none_or(|bound| value > bound) && self.gte.is_none_or(|bound| value >= bound);
        let below = self.lt.is_none_or(|bound| value < bound) && self.lte.is_none_or(|bound| value <= bound);
        let right = if self.inside_out() { above || below } else { above && below };
        (!right).then(|| format!("must be {}, not {value}", self.text()))
    }

    /// Bounds the wrong way round mean a gap: the value must be on either side of it.
    fn inside_out(&self) -> bool {
        self.gt.or(self.gte).zip(self.lt.or(self.lte)).is_some_and(|(low, high)| low > high)
    }

    fn text(&self) -> String {
        let bounds = [(">", self.gt), (">=", self.gte), ("<", self.lt), ("<=", self.lte)];
        let texts = bounds.iter().filter_map(|(sign, bound)| bound.map(|bound| format!("{sign} {bound}")));
        texts.collect::<Vec<_>>().join(if self.inside_out() { " or " } else { " and " })
    }
}

#[cfg(test)]
mod tests;
