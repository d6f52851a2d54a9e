//! Options that an IngressClass gives to its Ingresses: the names of the annotations without their prefix.

use k8s_openapi::api::networking::v1 as k8s;

use super::Options;
use crate::model::IngressDefaults;
use crate::problem::Reason;
use crate::source::{Annotation, Ingress};

/// Two Ingresses cannot have the same.
const OF_ONE: [&str; 3] = ["insecure-node-port", "secure-node-port", "host-listener-port"];

/// Whether a class can give this option this value.
///
/// # Errors
/// Why not, for a sentence that begins with the option.
pub fn check(option: &str, value: &str) -> Result<(), String> {
    if OF_ONE.contains(&option) {
        return Err("is for one Ingress alone, as an annotation".to_owned());
    }
    let mut ingress = Ingress::from(&k8s::Ingress::default());
    ingress.options.insert(option.to_owned(), Annotation { key: option.to_owned(), value: value.to_owned() });
    let (_, problems) = Options::of(&ingress, &IngressDefaults::default());
    match problems.into_iter().find(|problem| problem.reason == Reason::Invalid || is_unknown(&problem.message)) {
        Some(problem) if problem.reason == Reason::Invalid => {
            let why = problem.message.split_once("; ").map_or(&*problem.message, |(why, _)| why);
            Err(why.to_owned())
        }
        Some(_) => Err("there is no such option".to_owned()),
        None => Ok(()),
    }
}

fn is_unknown(message: &str) -> bool {
    message == super::UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_can_give_what_an_annotation_can_say() {
        for (option, value) in [
            ("force-https", "false"),
            ("request-timeout", "30s"),
            ("service-type", "NodePort"),
            ("service-external-traffic-policy", "Local"),
            ("loadbalancer-class", "example.com/lb"),
            ("load-balancer-source-ranges", "10.0.0.0/8"),
        ] {
            assert_eq!(check(option, value), Ok(()), "{option}");
        }
    }

    #[test]
    fn other_options_and_values_are_refused_with_the_reason() {
        let wrong = [
            ("force-https", "perhaps", "\"perhaps\" is not enabled or disabled"),
            ("request-timeout", "", "\"\" is not a duration such as 30s, 1m30s or 0s"),
            ("forced-https", "true", "there is no such option"),
            ("insecure-node-port", "30080", "is for one Ingress alone, as an annotation"),
        ];
        for (option, value, why) in wrong {
            assert_eq!(check(option, value), Err(why.to_owned()), "{option}");
        }
    }
}
