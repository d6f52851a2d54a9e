//! What each Ingress of `ingestion/` serves: the cases that Cilium's own ingestion is tested with, under its names for them.
//! Those of TLS that is passed through are beside them.

use std::time::Duration;

use axoneme_operator::Name;
use axoneme_operator::model::IngressDefaults;

use crate::completed::Completed;
use crate::served::served;

/// The operator's flags: without them nothing is enforced, as in the cases that these come from.
fn flags() -> IngressDefaults {
    IngressDefaults { enforce_https: false, ..IngressDefaults::default() }
}

fn enforced() -> IngressDefaults {
    IngressDefaults { enforce_https: true, ..flags() }
}

fn default_secret() -> IngressDefaults {
    IngressDefaults { secret: Some(Name::new("default-namespace", "default-secret")), ..flags() }
}

/// The Ingress of a file under these flags.
fn case(name: &str, file: &str, flags: IngressDefaults) {
    let world = Completed::read(&format!("ingestion/{file}.yaml"), flags);
    let folder = "ingestion";
    insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, served(&world));
    });
}

#[test]
fn cilium_multiple_path_types() {
    case("cilium_multiple_path_types", "cilium_multiple_path_types", flags());
}

#[test]
fn cilium_test_ingress() {
    case("cilium_test_ingress", "cilium_test_ingress", flags());
}

#[test]
fn cilium_test_ingress_with_default_secret() {
    case("cilium_test_ingress_with_default_secret", "cilium_test_ingress", default_secret());
}

#[test]
fn cilium_test_ingress_without_secret_name() {
    case("cilium_test_ingress_without_secret_name", "cilium_test_ingress_without_secret_name", flags());
}

#[test]
fn cilium_test_ingress_with_default_secret_without_secret_name() {
    let name = "cilium_test_ingress_with_default_secret_without_secret_name";
    case(name, "cilium_test_ingress_without_secret_name", default_secret());
}

#[test]
fn cilium_test_ingress_with_nodeport() {
    case("cilium_test_ingress_with_nodeport", "cilium_test_ingress_with_nodeport", flags());
}

#[test]
fn cilium_test_ingress_with_nodeport_with_default_secret() {
    let name = "cilium_test_ingress_with_nodeport_with_default_secret";
    case(name, "cilium_test_ingress_with_nodeport", default_secret());
}

#[test]
fn cilium_test_ingress_with_nodeport_without_secret_name() {
    let file = "cilium_test_ingress_with_nodeport_without_secret_name";
    case(file, file, flags());
}

#[test]
fn cilium_test_ingress_with_nodeport_with_default_secret_without_secret_name() {
    let name = "cilium_test_ingress_with_nodeport_with_default_secret_without_secret_name";
    case(name, "cilium_test_ingress_with_nodeport_without_secret_name", default_secret());
}

#[test]
fn cilium_test_ingress_without_http_rules() {
    case("cilium_test_ingress_without_http_rules", "cilium_test_ingress_without_http_rules", flags());
}

#[test]
fn conformance_default_backend_legacy_annotation() {
    let file = "conformance_default_backend_legacy_annotation";
    case(file, file, default_secret());
}

#[test]
fn conformance_default_backend_legacy_and_new() {
    let file = "conformance_default_backend_legacy_and_new";
    case(file, file, default_secret());
}

#[test]
fn conformance_host_rules_with_default_secret() {
    case("conformance_host_rules_with_default_secret", "conformance_host_rules", default_secret());
}

#[test]
fn conformance_host_rules_without_secret_name() {
    let file = "conformance_host_rules_without_secret_name";
    case(file, file, flags());
}

#[test]
fn conformance_host_rules_with_default_secret_without_secret_name() {
    let name = "conformance_host_rules_with_default_secret_without_secret_name";
    case(name, "conformance_host_rules_without_secret_name", default_secret());
}

#[test]
fn conformance_path_rules() {
    case("conformance_path_rules", "conformance_path_rules", flags());
}

#[test]
fn conformance_path_rules_with_default_secret() {
    case("conformance_path_rules_with_default_secret", "conformance_path_rules", default_secret());
}

#[test]
fn force_https_annotation_not_present_enforce_https_enabled() {
    let name = "force_https_annotation_not_present_enforce_https_enabled";
    case(name, "conformance_host_rules", enforced());
}

#[test]
fn force_https_annotation_present_and_disabled_enforce_https_disabled() {
    let name = "force_https_annotation_present_and_disabled_enforce_https_disabled";
    case(name, "force_https_annotation_present_and_disabled", flags());
}

#[test]
fn force_https_annotation_present_and_disabled_enforce_https_enabled() {
    let name = "force_https_annotation_present_and_disabled_enforce_https_enabled";
    case(name, "force_https_annotation_present_and_disabled", enforced());
}

#[test]
fn force_https_annotation_present_and_enabled() {
    let file = "force_https_annotation_present_and_enabled";
    case(file, file, flags());
}

#[test]
fn force_https_annotation_present_and_enabled_enforce_https_enabled() {
    let name = "force_https_annotation_present_and_enabled_enforce_https_enabled";
    case(name, "force_https_annotation_present_and_enabled", enforced());
}

#[test]
fn request_timeout_annotation_present() {
    case("request_timeout_annotation_present", "request_timeout_annotation_present", flags());
}

#[test]
fn request_timeout_annotation_present_but_invalid() {
    let file = "request_timeout_annotation_present_but_invalid";
    case(file, file, flags());
}

#[test]
fn request_timeout_flag_present_with_no_annotation() {
    let request_timeout = Duration::from_secs(20);
    let file = "request_timeout_flag_present_with_no_annotation";
    case(file, file, IngressDefaults { request_timeout, ..flags() });
}
