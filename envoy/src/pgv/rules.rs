//! Rules as they stand in the descriptors' options, compiled once.
//!
//! Only the kinds of rules that Envoy uses are known. [`compile`] tells of others, and a test asks that there are none, so a
//! new Envoy cannot bring a rule that is silently not checked.

use std::{collections::HashMap, fmt};

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, OneofDescriptor, Value,
};

use super::text::Text;
use crate::encode;

/// The rules of one message type.
pub(super) struct MessageRules {
    pub(super) fields: Vec<(FieldDescriptor, Rule)>,
    /// Oneofs of which one member must be set.
    pub(super) required: Vec<OneofDescriptor>,
}

/// The rules of one field.
pub(super) struct Rule {
    /// It must be set.
    pub(super) required: bool,
    /// What is in it is not checked.
    pub(super) skip: bool,
    pub(super) check: Check,
}

/// What a value must be.
pub(super) enum Check {
    Nothing,
    Int(Range<i128>),
    Float(Range<f64>),
    Duration(Range<Nanos>),
    Bool(bool),
    Text(Text),
    Bytes(Size),
    Enum { defined_only: bool, not_in: Vec<i32> },
    List { size: Size, unique: bool, items: Option<Box<Check>> },
    Map { size: Size, keys: Option<Box<Check>>, values: Option<Box<Check>> },
}

#[derive(Default)]
pub(super) struct Size {
    pub(super) min: Option<usize>,
    pub(super) max: Option<usize>,
}

#[derive(Default)]
pub(super) struct Range<T> {
    pub(super) gt: Option<T>,
    pub(super) gte: Option<T>,
    pub(super) lt: Option<T>,
    pub(super) lte: Option<T>,
    /// The default value is always right.
    pub(super) ignore_empty: bool,
}

/// A duration in nanoseconds, which shows itself in seconds.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Nanos(pub(super) i128);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0 as f64 / 1e9)
    }
}

/// The rules of all messages by name, and the rules that are not understood.
pub(super) fn compile(pool: &DescriptorPool) -> (HashMap<String, MessageRules>, Vec<String>) {
    let mut unknown = Vec::new();
    let extension = |name| pool.get_extension_by_name(name);
    let (Some(rules), Some(required)) = (extension("validate.rules"), extension("validate.required")) else {
        return (HashMap::new(), vec!["validate.rules".to_owned()]);
    };
    let all = pool.all_messages().filter_map(|message| {
        let of_message = message_rules(&message, &rules, &required, &mut unknown)?;
        Some((message.full_name().to_owned(), of_message))
    });
    (all.collect(), unknown)
}

fn message_rules(
    message: &MessageDescriptor,
    rules: &ExtensionDescriptor,
    required: &ExtensionDescriptor,
    unknown: &mut Vec<String>,
) -> Option<MessageRules> {
    let fields = message.fields().filter_map(|field| {
        let options = field.options();
        let rule = options.has_extension(rules).then(|| options.get_extension(rules))?;
        let mut compiler = Compiler { place: field.full_name(), unknown };
        Some((field.clone(), compiler.rule(rule.as_message()?)))
    });
    let fields = fields.collect::<Vec<_>>();
    let required = message.oneofs().filter(|oneof| oneof.options().get_extension(required).as_bool() == Some(true));
    let required = required.collect::<Vec<_>>();
    (!fields.is_empty() || !required.is_empty()).then_some(MessageRules { fields, required })
}

struct Compiler<'a> {
    place: &'a str,
    unknown: &'a mut Vec<String>,
}

impl Compiler<'_> {
    fn unknown(&mut self, rule: &str) {
        self.unknown.push(format!("{}: {rule}", self.place));
    }

    fn rule(&mut self, rules: &DynamicMessage) -> Rule {
        let mut rule = Rule { required: false, skip: false, check: Check::Nothing };
        for (field, value) in rules.fields() {
            let Some(of_kind) = value.as_message() else { continue };
            let flag = |name| encode::get(of_kind, name).and_then(Value::as_bool) == Some(true);
            rule.required |= matches!(field.name(), "message" | "duration" | "any") && flag("required");
            rule.skip |= field.name() == "message" && flag("skip");
        }
        rule.check = self.check(rules);
        rule
    }

    fn check(&mut self, rules: &DynamicMessage) -> Check {
        let kinds = rules.fields().filter_map(|(field, value)| Some((field.name().to_owned(), value.as_message()?)));
        let mut check = Check::Nothing;
        for (kind, rules) in kinds {
            match kind.as_str() {
                "message" => self.only(rules, &["required", "skip"]),
                "any" => self.only(rules, &["required"]),
                "float" | "double" => check = Check::Float(self.range(rules, super::float)),
                "int32" | "int64" | "uint32" | "uint64" => check = Check::Int(self.range(rules, super::integer)),
                "duration" => {
                    check = Check::Duration(self.range(rules, |value| value.as_message().map(super::nanos).map(Nanos)));
                }
                "bool" => {
                    self.only(rules, &["const"]);
                    let only = encode::get(rules, "const").and_then(Value::as_bool);
                    check = only.map_or(Check::Nothing, Check::Bool);
                }
                "string" => check = Check::Text(Text::compile(rules, |rule| self.unknown(rule))),
                "bytes" => check = Check::Bytes(self.size(rules, "min_len", "max_len", &[])),
                "enum" => check = self.enumeration(rules),
                "repeated" => check = self.list(rules),
                "map" => check = self.map(rules),
                other => self.unknown(other),
            }
        }
        check
    }

    /// Reports the rules that are not in `known`.
    fn only(&mut self, rules: &DynamicMessage, known: &[&str]) {
        for (field, _) in rules.fields() {
            if !known.contains(&field.name()) {
                self.unknown(field.name());
            }
        }
    }

    fn range<T>(&mut self, rules: &DynamicMessage, number: impl Fn(&Value) -> Option<T>) -> Range<T> {
        self.only(rules, &["gt", "gte", "lt", "lte", "required", "ignore_empty"]);
        let bound = |name| encode::get(rules, name).and_then(&number);
        let ignore_empty = encode::get(rules, "ignore_empty").and_then(Value::as_bool) == Some(true);
        Range { gt: bound("gt"), gte: bound("gte"), lt: bound("lt"), lte: bound("lte"), ignore_empty }
    }

    fn size(&mut self, rules: &DynamicMessage, min: &str, max: &str, others: &[&str]) -> Size {
        self.only(rules, &[&[min, max], others].concat());
        let limit = |name| encode::get(rules, name).and_then(Value::as_u64).and_then(|limit| limit.try_into().ok());
        Size { min: limit(min), max: limit(max) }
    }

    fn enumeration(&mut self, rules: &DynamicMessage) -> Check {
        self.only(rules, &["defined_only", "not_in"]);
        let not_in = encode::get(rules, "not_in").and_then(Value::as_list).unwrap_or_default();
        Check::Enum {
            defined_only: encode::get(rules, "defined_only").and_then(Value::as_bool) == Some(true),
            not_in: not_in.iter().filter_map(Value::as_i32).collect(),
        }
    }

    fn list(&mut self, rules: &DynamicMessage) -> Check {
        let size = self.size(rules, "min_items", "max_items", &["unique", "items"]);
        let unique = encode::get(rules, "unique").and_then(Value::as_bool) == Some(true);
        Check::List { size, unique, items: self.nested(rules, "items") }
    }

    fn map(&mut self, rules: &DynamicMessage) -> Check {
        let size = self.size(rules, "min_pairs", "max_pairs", &["keys", "values"]);
        Check::Map { size, keys: self.nested(rules, "keys"), values: self.nested(rules, "values") }
    }

    fn nested(&mut self, rules: &DynamicMessage, name: &str) -> Option<Box<Check>> {
        encode::get_message(rules, name).map(|rules| Box::new(self.check(rules)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_this_envoy_is_understood() {
        let (rules, unknown) = compile(crate::pool::pool());
        assert_eq!(unknown, Vec::<String>::new());
        assert!(rules.len() > 500, "only {} messages have rules", rules.len());
    }
}
