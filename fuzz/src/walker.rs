//! An element of `spec.resources`, as anybody may write it who may make a CiliumEnvoyConfig.

use axoneme_envoy::{EnvoyResource, Owner, Policy, Problem, decode, decode_under, qualify, refs};
use serde_json::Value as Json;

const PATH: &str = "spec.resources[0]";

/// What is told of one resource must be readable for people, and small whatever the resource is.
const ENOUGH: usize = 1 << 20;

/// Decodes JSON and asserts what must hold of every resource that is taken, and of every list of mistakes.
pub fn check(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Json>(data) else { return };
    let under_policy = decode_under(&json, PATH, &Policy::default());
    if let Err(problems) = &under_policy {
        told(problems);
    }
    match decode(&json, PATH) {
        Ok(resource) => taken(&resource),
        Err(problems) => {
            told(&problems);
            assert!(under_policy.is_err(), "a policy allows what is refused without one");
        }
    }
}

fn told(problems: &[Problem]) {
    assert!(problems.iter().any(Problem::is_error), "refused without a reason");
    assert!(problems.iter().all(|problem| problem.path.starts_with(PATH)), "a path leads elsewhere: {problems:?}");
    let size = problems.iter().map(|problem| problem.to_string().len()).sum::<usize>();
    assert!(size < ENOUGH, "{size} bytes of mistakes");
}

fn taken(resource: &EnvoyResource) {
    let bytes = resource.encode();
    let read = EnvoyResource::from_bytes(resource.kind(), &bytes);
    assert!(read.is_some_and(|read| read.encode() == bytes), "the bytes do not read back");
    assert!(resource.clone().redacted().to_json().is_ok(), "cannot be shown");
    match resource.to_json().map(|json| decode(&json, PATH)) {
        Ok(Ok(again)) => assert!(again.encode() == bytes, "its own JSON means something else"),
        Ok(Err(problems)) => told_of_own_json(&problems),
        Err(error) => unreachable!("no JSON: {error}"),
    }
    named(resource.clone());
}

/// JSON that we wrote ourselves is right.
fn told_of_own_json(problems: &[Problem]) {
    assert!(problems.is_empty(), "its own JSON is refused: {problems:?}");
}

/// Names are full after the first time, so that the second changes nothing.
fn named(mut resource: EnvoyResource) {
    let owner = Owner { namespace: "default", name: "web" };
    if qualify(&mut resource, &owner).is_ok() {
        let (once, found) = (resource.encode(), refs(&resource));
        assert!(qualify(&mut resource, &owner).is_ok(), "a full name is refused");
        assert!(resource.encode() == once, "full names change once more");
        assert!(refs(&resource) == found, "references change with nothing else");
    }
}
