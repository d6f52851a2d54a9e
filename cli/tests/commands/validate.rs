//! `axonctl validate`: each kind of mistake with its line, in each form, and the exit codes.

use std::fs;

use crate::{axonctl, axonctl_with, golden};

/// A file for each kind of mistake; the snapshot has the same name.
#[test]
fn each_kind_of_mistake_is_shown_with_its_line() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/input/wrong");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(names.len() > 12, "{names:?}");
    for name in names {
        let name = name.to_str().unwrap();
        let said = axonctl(&["validate", &format!("wrong/{name}")]);
        assert_eq!((said.code, said.errors.as_str()), (1, ""), "{name}: {}", said.out);
        golden(&format!("validate-{}", name.trim_end_matches(".yaml")), &said.out);
    }
}

/// What is missing here may be in the cluster, so it is told and refuses nothing.
#[test]
fn a_dangling_reference_is_a_warning() {
    golden("validate-dangling-reference", &axonctl(&["validate", "dangling-reference.yaml"]).whole());
}

#[test]
fn for_programs_it_is_a_list_or_lines() {
    let files = ["wrong/unknown-field.yaml", "dangling-reference.yaml", "wrong/syntax.yaml"];
    let json = axonctl(&[&["validate", "-o", "json"], &files[..]].concat());
    assert_eq!(json.code, 1);
    golden("validate-json", &json.out);
    let short = axonctl(&[&["validate", "-o", "short"], &files[..]].concat());
    golden("validate-short", &short.whole());
    assert_eq!(json.json().as_array().unwrap().len(), short.out.lines().count());
}

#[test]
fn standard_input_may_hold_documents_and_lists() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}";
    let fine =
        axonctl_with(&["validate", "-"], &format!("---\n{service}\n---\nkind: Deployment\napiVersion: apps/v1\n"));
    assert_eq!(fine.whole(), "exit code 0\n1 object, 1 of kinds that the mesh does not read: 0 errors, 0 warnings\n");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {service}\n- apiVersion: v1\n  kind: Service\n  metadata: {{}}\n"
    );
    let wrong = axonctl_with(&["validate", "-o", "short", "-"], &list);
    assert_eq!(wrong.whole(), "exit code 1\n-:7:3: error: this Service has no metadata.name\n");
}

#[test]
fn exit_codes_tell_mistakes_from_failures() {
    assert_eq!(axonctl(&["validate", "mesh"]).code, 1);
    let dangling = axonctl(&["validate", "-o", "short", "fine-with-warnings.yaml"]);
    assert_eq!(dangling.code, 0, "{dangling:?}");
    assert!(dangling.out.contains("warning: "), "{dangling:?}");
    let missing = axonctl(&["validate", "no-such-file.yaml"]);
    assert_eq!(missing.code, 2);
    assert!(missing.errors.contains("cannot read no-such-file.yaml"), "{missing:?}");
    assert_eq!(axonctl(&["validate"]).code, 2);
    let no_envoy = axonctl(&["validate", "--envoy", "/nonexistent", "fine-with-warnings.yaml"]);
    assert_eq!(no_envoy.code, 2, "{no_envoy:?}");
    assert!(no_envoy.errors.contains("cannot run /nonexistent"), "{no_envoy:?}");
}

#[test]
fn what_the_policy_allows_is_fine() {
    let allowed = axonctl(&["validate", "--allow-extensions=lua", "wrong/forbidden-extension.yaml"]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
}

/// Allowed as in Cilium, until the operator's flag says otherwise.
#[test]
fn backends_of_other_namespaces_can_be_forbidden() {
    let file = "foreign-backends.yaml";
    let allowed = axonctl(&["validate", file]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
    golden("validate-foreign-backends", &axonctl(&["validate", "--forbid-foreign-backends", file]).whole());
    assert!(axonctl(&["render", file]).out.contains("bank/ledger"));
    assert_eq!(axonctl(&["render", "--forbid-foreign-backends", file]).out, "");
}

#[test]
fn envoy_itself_is_asked_when_it_is_named() {
    let envoy = axoneme_testnet::envoy().unwrap();
    let file = "only-envoy-knows.yaml";
    assert_eq!(axonctl(&["validate", file]).code, 0);
    let said = axonctl(&["validate", "--envoy", envoy.to_str().unwrap(), file]);
    golden("validate-envoy", &said.whole());
}
