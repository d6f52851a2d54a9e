//! Annotations of an Envoy config. They never refuse it: a value that does not parse is told and leaves the default.

use axoneme_api::names;
use axoneme_envoy::Policy;

use crate::problem::{Problem, Reason};
use crate::source::EnvoyConfig;

/// Annotations about Cilium's own filters, which this Envoy does not have.
const OF_CILIUMS_FILTERS: [&str; 2] = ["inject-cilium-filters", "is-l7lb"];

/// What annotations ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Backends are to see the client's address.
    pub keeps_client_address: bool,
}

impl Options {
    /// Understands the annotations of an object, and what there is to say of them.
    ///
    /// As in Cilium, what is made for an Ingress or a Gateway never keeps the client's address, whatever is written on it;
    /// else the annotation counts, and the older label where there is none. The default is the policy's.
    pub(super) fn of(config: &EnvoyConfig, policy: &Policy) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let annotation = |key: &str| format!("metadata.annotations[\"{}{key}\"]", names::CONFIG_PREFIX);
        for (key, value) in &config.annotations {
            let field = annotation(key);
            if OF_CILIUMS_FILTERS.contains(&key.as_str()) {
                if boolean(value, &field, &mut problems) == Some(true) {
                    let why = "has no effect: it is about network policies, and this Envoy does not enforce them";
                    problems.push(Problem::warning(Reason::Unsupported, field, why));
                }
            } else if key != names::ORIGINAL_SOURCE {
                let why = "has no effect: this annotation is not supported";
                problems.push(Problem::warning(Reason::Unsupported, field, why));
            }
        }
        if config.is_derived {
            return (Self::default(), problems);
        }
        let written = config.annotations.get(names::ORIGINAL_SOURCE);
        let written = written.map(|value| (value, annotation(names::ORIGINAL_SOURCE)));
        let label = config.original_source_label.as_ref();
        let label = label.map(|value| (value, format!("metadata.labels[\"{}\"]", names::ORIGINAL_SOURCE_LABEL)));
        let mut places = written.into_iter().chain(label);
        let told = places.find_map(|(value, field)| boolean(value, &field, &mut problems));
        (Self { keeps_client_address: told.unwrap_or(policy.keeps_client_address()) }, problems)
    }
}

/// The words of Go's `strconv.ParseBool`, as Cilium reads them.
fn boolean(value: &str, field: &str, problems: &mut Vec<Problem>) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => {
            let why = format!("{value:?} is neither true nor false; the default holds");
            problems.push(Problem::warning(Reason::Invalid, field, why));
            None
        }
    }
}
