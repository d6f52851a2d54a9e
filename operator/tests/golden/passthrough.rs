//! The cases of TLS passthrough among those that Cilium's own ingestion is tested with: what each Ingress serves.

use axoneme_operator::model::IngressDefaults;

use crate::completed::Completed;
use crate::served::served;

fn case(name: &str) {
    let flags = IngressDefaults { enforce_https: false, ..IngressDefaults::default() };
    let world = Completed::read(&format!("ingestion/{name}.yaml"), flags);
    let folder = "ingestion";
    insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, served(&world));
    });
}

#[test]
fn ssl_passthrough() {
    case("ssl_passthrough");
}

#[test]
fn ssl_passthrough_with_nodeport() {
    case("ssl_passthrough_with_nodeport");
}

#[test]
fn ssl_passthrough_host_without_rule() {
    case("ssl_passthrough_no_rule");
}

#[test]
fn ssl_passthrough_multiple_paths_of_which_one_is_valid() {
    case("ssl_passthrough_multiple_paths");
}

#[test]
fn ssl_passthrough_no_host() {
    case("ssl_passthrough_no_host");
}

#[test]
fn ssl_passthrough_prefix_path() {
    case("ssl_passthrough_prefix_path");
}

#[test]
fn ssl_passthrough_with_default_backend() {
    case("ssl_passthrough_default_backend");
}
