//! How Envoy is told what each Ingress of `translation/` serves: the cases that Cilium's own translation is tested with. One of
//! them is shown whole; of the others what the case is about.

use axoneme_operator::model::IngressDefaults;

use crate::completed::Completed;
use crate::rendered::rendered;
use crate::support;

fn read(file: &str, enforce_https: bool) -> Completed {
    let flags = IngressDefaults { enforce_https, ..IngressDefaults::default() };
    Completed::read(&format!("translation/{file}.yaml"), flags)
}

fn compare(name: &str, text: &str) {
    let folder = "translation";
    insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn conformance_default_backend_is_shown_whole() {
    let world = read("conformance_default_backend", true);
    compare("conformance_default_backend", &support::view(&world.engine, "node"));
}

#[test]
fn conformance_host_rules() {
    compare("conformance_host_rules", &rendered(&read("conformance_host_rules", true)));
}

#[test]
fn conformance_host_rules_no_force_https() {
    compare("conformance_host_rules_no_force_https", &rendered(&read("conformance_host_rules", false)));
}

#[test]
fn conformance_path_rules() {
    compare("conformance_path_rules", &rendered(&read("conformance_path_rules", true)));
}

#[test]
fn complex_node_port_ingress() {
    compare("complex_node_port_ingress", &rendered(&read("complex_node_port_ingress", true)));
}
