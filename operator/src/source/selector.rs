//! A label selector, and what Kubernetes would refuse about it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`: key, operator, values.
    pub expressions: Vec<(String, String, Vec<String>)>,
}

impl From<&LabelSelector> for Selector {
    fn from(selector: &LabelSelector) -> Self {
        let expressions = selector.match_expressions.iter().flatten();
        Self {
            labels: selector.match_labels.clone().unwrap_or_default(),
            expressions: expressions
                .map(|e| (e.key.clone(), e.operator.clone(), e.values.clone().unwrap_or_default()))
                .collect(),
        }
    }
}

impl Selector {
    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let pairs = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        pairs
            && self.expressions.iter().all(|(key, operator, values)| {
                let value = labels.get(key);
                match operator.as_str() {
                    "In" => value.is_some_and(|value| values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }

    /// What is wrong with it, each with the field in the selector. The rules are those of `LabelSelectorAsSelector` in
    /// Kubernetes, which the API server does not ask for the selectors of custom resources.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(String, String)> {
        let mut mistakes = Vec::new();
        for (key, value) in &self.labels {
            let field = format!("matchLabels[{key:?}]");
            if !is_label_key(key) {
                mistakes.push((field, not_a_key(key)));
            } else if !is_label_value(value) {
                mistakes.push((field, not_a_value(value)));
            }
        }
        for (at, (key, operator, values)) in self.expressions.iter().enumerate() {
            let field = format!("matchExpressions[{at}]");
            if !is_label_key(key) {
                mistakes.push((format!("{field}.key"), not_a_key(key)));
            }
            let wrong = match (operator.as_str(), values.is_empty()) {
                ("In" | "NotIn", true) => {
                    Some(("values", format!("must not be empty, because the operator is {operator}")))
                }
                ("Exists" | "DoesNotExist", false) => {
                    Some(("values", format!("must be empty, because the operator is {operator}")))
                }
                ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => None,
                _ => Some(("operator", format!("{operator:?} is none of In, NotIn, Exists, DoesNotExist"))),
            };
            mistakes.extend(wrong.map(|(part, why)| (format!("{field}.{part}"), why)));
            let bad = values.iter().enumerate().filter(|(_, value)| !is_label_value(value));
            mistakes.extend(bad.map(|(at, value)| (format!("{field}.values[{at}]"), not_a_value(value))));
        }
        mistakes
    }
}

fn not_a_key(key: &str) -> String {
    format!("{key:?} is no label key: [prefix/]name, where the name has at most 63 letters, digits, '-', '_' and '.'")
}

fn not_a_value(value: &str) -> String {
    format!("{value:?} is no label value: at most 63 letters, digits, '-', '_' and '.', none of these at an end")
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        edge(label.chars().next()) && edge(label.chars().next_back()) && label.chars().all(inner)
    };
    let is_domain = |prefix: &str| prefix.len() <= 253 && prefix.split('.').all(label);
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_domain)
}

fn is_label_value(value: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.len() <= 63 && edge(value.chars().next()) && edge(value.chars().next_back()) && value.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_what_kubernetes_takes() {
        let long = "a".repeat(64);
        for key in ["zone", "a", "A_b.c-9", "topology.kubernetes.io/zone", "x/y"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "-a", "a.", "a b", "a/b/c", "/a", "a/", "UPPER/a", "a..b/c", &long] {
            assert!(!is_label_key(key), "{key}");
        }
        for value in ["", "a", "A_b.c-9"] {
            assert!(is_label_value(value), "{value}");
        }
        for value in ["-", "a_", "a/b", "ä", &long] {
            assert!(!is_label_value(value), "{value}");
        }
    }
}
