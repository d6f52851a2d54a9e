//! Hosts that clients ask for, and hosts that rules name: a panic in the module would end Envoy.

use axoneme_hostkey::{Key, SHARDS};

/// Looks at an input as an authority, and as a rule's host.
pub fn check(data: &[u8]) {
    if let Some(key) = Key::of_authority(data) {
        holds(&key, data.len());
        // The filter takes up what the early mutation wrote.
        assert_eq!(Key::of_authority(key.as_bytes()), Some(key), "another key the second time");
        assert_eq!(Key::of_authority(&data.to_ascii_uppercase()), Some(key), "case makes a difference");
    }
    let Ok(host) = std::str::from_utf8(data) else { return };
    let Some(key) = Key::of_rule(host) else { return };
    holds(&key, data.len().max(1));
    match host.strip_prefix("*.") {
        None if host.is_empty() => assert_eq!(key, Key::CATCH_ALL),
        None => assert_eq!(Some(key), Key::of_authority(data), "a rule and a request for its host have two keys"),
        // An address has no domain below it.
        Some(parent) if parent.starts_with('[') => {}
        Some(parent) => {
            let below = Key::of_authority(format!("x.{parent}").as_bytes());
            assert_eq!(
                below.and_then(|below| below.wildcard()),
                Some(key),
                "a wildcard and a host below it do not meet"
            );
        }
    }
}

fn holds(key: &Key, longest: usize) {
    assert!(!key.as_bytes().is_empty() && key.as_bytes().len() <= longest.min(Key::MAX), "{key:?} grew");
    assert!(key.shard() < SHARDS);
    if let Some(wildcard) = key.wildcard() {
        assert!(
            wildcard.as_bytes().starts_with(b"_.") && wildcard.as_bytes().len() <= key.as_bytes().len(),
            "{wildcard:?}"
        );
    }
}
