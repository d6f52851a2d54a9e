//! The module inside the real Envoy: which host's routes a request gets, whatever the client sends.
//!
//! Needs the Envoy binary of `cargo xtask setup`, or `AXONEME_ENVOY`, and the module of `cargo xtask module`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod proxy;
mod upstream;

use axoneme_hostkey::{HOST_HEADER, SHARD_HEADER};
use proxy::{Proxy, listener, validate};

/// Few shards, so that rules share them.
const SHARDS: &str = "8";
const RULES: [&str; 5] = ["foo.com", "a.foo.com", "*.foo.com", "*.b.foo.com", ""];
const CATCH_ALL: &str = "";
const VERSIONS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

/// A host as a client sends it, and the rule whose routes it gets.
const HOSTS: [(&str, &str); 23] = [
    ("foo.com", "foo.com"),
    ("FOO.COM:443", "foo.com"),
    ("a.foo.com", "a.foo.com"),
    ("A.Foo.Com", "a.foo.com"),
    ("a.foo.com:8080", "a.foo.com"),
    ("a.foo.com.", "a.foo.com"),
    ("A.foo.com.:80", "a.foo.com"),
    ("x.foo.com", "*.foo.com"),
    ("X.FOO.COM", "*.foo.com"),
    ("x.foo.com:80", "*.foo.com"),
    ("x.foo.com.", "*.foo.com"),
    ("b.foo.com", "*.foo.com"),
    ("xn--bcher-kva.foo.com", "*.foo.com"),
    ("_.foo.com", "*.foo.com"),
    ("x.b.foo.com", "*.b.foo.com"),
    // A wildcard stands for one label.
    ("x.y.foo.com", CATCH_ALL),
    ("x.a.foo.com", CATCH_ALL),
    ("foo.com.evil.org", CATCH_ALL),
    ("com", CATCH_ALL),
    ("10.0.0.1:80", CATCH_ALL),
    ("[::1]:80", CATCH_ALL),
    ("a..foo.com", CATCH_ALL),
    ("_", CATCH_ALL),
];

#[test]
fn every_form_of_a_host_finds_its_rule() {
    let proxy = Proxy::start(SHARDS, &RULES);
    for version in VERSIONS {
        for (host, rule) in HOSTS {
            let answer = proxy.ask(version, host, &[]);
            assert_eq!((answer.status, answer.rule.as_deref()), (200, Some(rule)), "{version} {host}");
        }
        let long = format!("{}.org", "a.".repeat(150));
        assert_eq!(proxy.ask(version, &long, &[]).rule.as_deref(), Some(CATCH_ALL), "{version} {long}");
    }
    assert!(!proxy.log().contains("ABI version"), "Envoy has another version of the interface: {}", proxy.log());
}

#[test]
fn without_a_catch_all_others_get_404() {
    let proxy = Proxy::start(SHARDS, &RULES[..4]);
    for version in VERSIONS {
        for (host, rule) in HOSTS {
            let answer = proxy.ask(version, host, &[]);
            let expected = if rule == CATCH_ALL { (404, None) } else { (200, Some(rule)) };
            assert_eq!((answer.status, answer.rule.as_deref()), expected, "{version} {host}");
        }
    }
}

#[test]
fn clients_cannot_choose_and_backends_see_nothing() {
    let proxy = Proxy::start(SHARDS, &RULES);
    let forged = |name: &str, value: &str| format!("{name}: {value}");
    let headers = [
        forged(HOST_HEADER, "a.foo.com"),
        forged(HOST_HEADER, "foo.com"),
        forged(SHARD_HEADER, "0"),
        forged(SHARD_HEADER, "1"),
        forged(&SHARD_HEADER.to_uppercase(), "7"),
    ];
    for version in VERSIONS {
        for (host, rule) in HOSTS {
            let answer = proxy.ask(version, host, &headers);
            assert_eq!(answer.rule.as_deref(), Some(rule), "{version} {host}");
            // The backend answers with what it was asked.
            assert!(answer.body.to_lowercase().contains("host:"), "{}", answer.body);
            assert!(!answer.body.to_lowercase().contains("x-axoneme"), "{version} {host}: {}", answer.body);
        }
    }
}

#[test]
fn websockets_open_by_every_kind_of_rule() {
    let proxy = Proxy::start(SHARDS, &RULES);
    for (host, rule) in [("a.foo.com", "a.foo.com"), ("x.foo.com", "*.foo.com"), ("example.org", CATCH_ALL)] {
        let (head, echoed) = proxy.websocket(host);
        assert!(head.starts_with("HTTP/1.1 101"), "{host}: {head}");
        assert!(head.to_lowercase().contains(&format!("x-rule: {rule}\r\n")), "{host}: {head}");
        assert_eq!(echoed, "hello", "{host}");
    }
}

#[test]
fn envoy_refuses_a_listener_without_a_number_of_shards() {
    for wrong in ["", "0", "many", "-1", "4294967296"] {
        let error = validate(&listener(wrong, &[])).unwrap_err();
        assert!(error.contains("Failed to initialize dynamic module"), "{wrong:?}: {error}");
    }
    validate(&listener("4294967295", &[])).unwrap();
}
