//! Folders of YAML and, beside them, everything that comes of them: node views, problems, statuses. For Ingresses also what is
//! served, in words: [`ingestion`], and how Envoy is told so: [`translation`].
//!
//! After a wanted change: `INSTA_UPDATE=always cargo test -p axoneme-operator --test golden`, then read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod completed;
mod ingestion;
mod listeners;
mod passthrough;
mod rendered;
mod served;
mod translation;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use axoneme_operator::Write;

fn golden(name: &str, root: PathBuf) {
    let folder = support::read(&root);
    let (mut engine, _) = support::run(&folder);
    let mut text = support::problems(&folder, &engine);
    for write in engine.take_status_writes() {
        let Write::ConfigStatus { object, status } = write else { continue };
        for condition in status.conditions {
            writeln!(text, "{object}: {}={} {}", condition.type_, condition.status, condition.reason).unwrap();
        }
    }
    text.push_str(&support::view(&engine, "node"));
    insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn case(name: &str) {
    golden(name, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name));
}

#[test]
fn article() {
    golden("article", Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/article"));
}

#[test]
fn ingress() {
    case("ingress");
}

#[test]
fn endpoints() {
    case("endpoints");
}

#[test]
fn shared() {
    case("shared");
}

#[test]
fn bad() {
    case("bad");
}

#[test]
fn clusterwide() {
    case("clusterwide");
}

#[test]
fn conflict() {
    case("conflict");
}

#[test]
fn secrets() {
    case("secrets");
}

#[test]
fn tls() {
    case("tls");
}
