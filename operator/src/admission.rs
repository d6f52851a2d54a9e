//! What the webhook answers: the checks of the engine, before an object is stored.
//!
//! An Envoy config is refused exactly when the engine would refuse it, by the same function. What it refers to may come
//! later, so that is never a reason. An Ingress is never refused, because other controllers may serve it.

use axoneme_api::cec::{CiliumClusterwideEnvoyConfig, CiliumEnvoyConfig};
use axoneme_envoy::Policy;
use k8s_openapi::api::networking::v1 as networking;
use kube::core::{
    DynamicObject, Resource, Status,
    admission::{AdmissionRequest, AdmissionResponse},
    response::{StatusCause, StatusDetails},
};
use serde::de::DeserializeOwned;

use crate::{
    index::Index,
    model::{IngressDefaults, ingest},
    problem::{Problem, Reason, Severity},
    source::{EnvoyConfig, Ingress, Kind},
    translate::config,
};

/// What is to be said of an object. Without errors it may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused.
    pub errors: Vec<Problem>,
    /// What its author should know.
    pub warnings: Vec<Problem>,
}

impl Verdict {
    fn new(problems: impl IntoIterator<Item = Problem>) -> Self {
        let (errors, warnings) =
            problems.into_iter().partition(|problem: &Problem| problem.severity == Severity::Error);
        Self { errors, warnings }
    }

    /// Value of the metric's label `verdict`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self { errors, .. } if !errors.is_empty() => "refused",
            Self { warnings, .. } if !warnings.is_empty() => "warned",
            _ => "passed",
        }
    }
}

/// Judges the object of a request. `look` says what is wrong with an Ingress; it is asked for nothing else.
pub fn judge(
    request: &AdmissionRequest<DynamicObject>,
    policy: &Policy,
    look: impl FnOnce(&Ingress) -> Vec<Problem>,
) -> Verdict {
    let kind = request.kind.kind.as_str();
    if kind == Kind::CiliumEnvoyConfig.as_str() {
        judge_config::<CiliumEnvoyConfig>(request, policy)
    } else if kind == Kind::CiliumClusterwideEnvoyConfig.as_str() {
        judge_config::<CiliumClusterwideEnvoyConfig>(request, policy)
    } else if kind == Kind::Ingress.as_str() {
        match request.object.clone().map(DynamicObject::try_parse::<networking::Ingress>) {
            Some(Ok(ingress)) => Verdict { errors: Vec::new(), warnings: look(&Ingress::from(&ingress)) },
            _ => Verdict::default(),
        }
    } else {
        Verdict::default()
    }
}

fn judge_config<K>(request: &AdmissionRequest<DynamicObject>, policy: &Policy) -> Verdict
where
    K: Resource + DeserializeOwned,
    EnvoyConfig: for<'a> From<&'a K>,
{
    let parse = |object: &DynamicObject| object.clone().try_parse::<K>().map(|object| EnvoyConfig::from(&object));
    let Some(object) = &request.object else { return Verdict::default() };
    let config = match parse(object) {
        Ok(config) => config,
        Err(error) => return Verdict::new([Problem::error(Reason::Invalid, "", error.to_string())]),
    };
    let old = request.old_object.as_ref().and_then(|old| parse(old).ok());
    // What stands there already may be labelled, finalised and deleted, however wrong it is.
    if config.meta.deleting || old.is_some_and(|old| old.same_spec(&config)) {
        return Verdict::default();
    }
    match config::parse(&config, policy) {
        Ok(parsed) => Verdict { errors: Vec::new(), warnings: parsed.problems().to_vec() },
        Err(problems) => Verdict::new(problems),
    }
}

/// What is wrong with an Ingress that is ours, apart from what it refers to: a Service may come in the next moment.
#[must_use]
pub fn look(ingress: &Ingress, index: &Index, defaults: &IngressDefaults) -> Vec<Problem> {
    if ingress.meta.deleting || !index.is_ours(ingress) {
        return Vec::new();
    }
    let (_, mut problems) = ingest(ingress, index, &index.defaults(ingress, defaults));
    problems.retain(|problem| !problem.reason.is_reference());
    problems
}

/// The answer in the API server's terms. A person reads the message; programs read the causes.
#[must_use]
pub fn respond(request: &AdmissionRequest<DynamicObject>, verdict: &Verdict) -> AdmissionResponse {
    let mut response = AdmissionResponse::from(request);
    if !verdict.warnings.is_empty() {
        response.warnings = Some(verdict.warnings.iter().map(ToString::to_string).collect());
    }
    if verdict.errors.is_empty() {
        return response;
    }
    let cause = |problem: &Problem| StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: problem.message.clone(),
        field: problem.field.clone(),
    };
    let details = StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        causes: verdict.errors.iter().map(cause).collect(),
        uid: String::new(),
        retry_after_seconds: 0,
    };
    response.allowed = false;
    response.result = Status::failure(&message(&verdict.errors), "Invalid").with_code(422).with_details(details);
    response
}

/// One error in the line that kubectl begins, several on lines of their own.
fn message(errors: &[Problem]) -> String {
    match errors {
        [error] => error.to_string(),
        errors => errors.iter().fold(format!("{} errors", errors.len()), |text, error| format!("{text}\n- {error}")),
    }
}

#[cfg(test)]
mod tests;
