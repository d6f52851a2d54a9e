//! Which Ingresses the API server asks about: those of our classes. Whoever serves the others is not kept waiting by us.
//!
//! A class is somebody's by its controller, which no condition of the API server can look up; so the names of our classes are
//! written into the condition, by the replica that leads.

use std::collections::BTreeSet;

use axoneme_api::names;
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, ValidatingWebhook};

/// The condition's name.
const CONDITION: &str = "of-our-classes";

/// The names that an Ingress of ours may give as its class; the empty one when it need not name any.
pub type Classes = BTreeSet<String>;

/// The condition for Ingresses of these classes, in CEL. The annotation wins over the field, as it does everywhere.
pub(super) fn condition(classes: &Classes) -> MatchCondition {
    let all: Vec<_> = classes.iter().map(|class| format!("{class:?}")).collect();
    let legacy = names::LEGACY_CLASS_ANNOTATION;
    let expression = format!(
        "(has(object.metadata.annotations) && {legacy:?} in object.metadata.annotations ? \
         object.metadata.annotations[{legacy:?}] : has(object.spec) && has(object.spec.ingressClassName) ? \
         object.spec.ingressClassName : \"\") in [{}]",
        all.join(", ")
    );
    MatchCondition { name: CONDITION.to_owned(), expression }
}

/// The condition that stands there.
pub(super) fn present(webhook: &ValidatingWebhook) -> Option<&MatchCondition> {
    webhook.match_conditions.iter().flatten().find(|condition| condition.name == CONDITION)
}

/// What a webhook should have: what stands there, unless somebody knows better.
pub(super) fn wanted<'a>(
    webhook: &'a ValidatingWebhook,
    known: Option<&'a MatchCondition>,
) -> Option<&'a MatchCondition> {
    known.filter(|_| webhook.name == names::INGRESS_WEBHOOK).or_else(|| present(webhook))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_in_order_and_no_class_is_empty() {
        let condition = |names: &[&str]| condition(&names.iter().map(|&name| name.to_owned()).collect()).expression;
        assert!(condition(&["b", "a", ""]).ends_with(r#" : "") in ["", "a", "b"]"#), "{}", condition(&["b", "a", ""]));
        assert!(condition(&[]).ends_with(" in []"), "nobody is asked about");
    }
}
