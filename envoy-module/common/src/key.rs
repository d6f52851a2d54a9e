//! The key of a host: of the one a rule names, and of the one a request asks for.

use core::fmt;

/// A host's key, on the stack.
#[derive(Clone, Copy)]
pub struct Key {
    bytes: [u8; Key::MAX],
    /// At most [`Key::MAX`].
    len: usize,
}

impl Key {
    /// Bytes of the longest key: a DNS name has at most 253.
    pub const MAX: usize = 255;

    /// The key of the rule without a host.
    pub const CATCH_ALL: Self = {
        let mut bytes = [0; Self::MAX];
        bytes[0] = b'_';
        Self { bytes, len: 1 }
    };

    /// The key that a rule's host has: `*.example.com` is `_.example.com`, and no host is [`Self::CATCH_ALL`].
    ///
    /// `None` for what no rule may have: empty labels, or more than [`Self::MAX`] bytes.
    #[must_use]
    pub fn of_rule(host: &str) -> Option<Self> {
        match host.strip_prefix("*.") {
            Some(parent) => Self::under_wildcard(Self::of_authority(parent.as_bytes())?.as_bytes()),
            None if host.is_empty() => Some(Self::CATCH_ALL),
            None => Self::of_authority(host.as_bytes()),
        }
    }

    /// The key of a request's `:authority`: its host in lower case, without port and the dot that ends a full name. The
    /// brackets of an IPv6 address stay.
    ///
    /// `None` for what can be no rule's host: nothing, empty labels, or more than [`Self::MAX`] bytes. Such a request is
    /// the catch-all's. Doing it twice changes nothing.
    #[must_use]
    pub fn of_authority(authority: &[u8]) -> Option<Self> {
        let host = without_port(authority)?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.split(|byte| *byte == b'.').any(<[u8]>::is_empty) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        let place = bytes.get_mut(..host.len())?;
        place.copy_from_slice(host);
        place.make_ascii_lowercase();
        Some(Self { bytes, len: host.len() })
    }

    /// The key of the wildcard that covers this host: the first label gives way to `_`, as a wildcard of Kubernetes stands
    /// for one label. `None` for a single label and an IPv6 address.
    #[must_use]
    pub fn wildcard(&self) -> Option<Self> {
        let host = self.as_bytes();
        if host.first() == Some(&b'[') {
            return None;
        }
        let dot = host.iter().position(|byte| *byte == b'.')?;
        Self::under_wildcard(host.get(dot + 1..)?)
    }

    /// The key's text. ASCII where the host was; otherwise the client's own bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The key's text; `None` where a client sent something that is none.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.as_bytes()).ok()
    }

    /// The key's shard, below [`crate::SHARDS`].
    #[must_use]
    pub fn shard(&self) -> u32 {
        crate::shard(self.as_bytes())
    }

    fn under_wildcard(parent: &[u8]) -> Option<Self> {
        let len = parent.len().checked_add(2)?;
        let mut bytes = [0; Self::MAX];
        let place = bytes.get_mut(..len)?;
        let (wildcard, rest) = place.split_at_mut(2);
        wildcard.copy_from_slice(b"_.");
        rest.copy_from_slice(parent);
        Some(Self { bytes, len })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.as_bytes().escape_ascii())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

/// `a:80` is `a`, `[::1]:80` is `[::1]`; `None` for brackets that do not close.
fn without_port(authority: &[u8]) -> Option<&[u8]> {
    if authority.first() == Some(&b'[') {
        let end = authority.iter().position(|byte| *byte == b']')?;
        return authority.get(..=end);
    }
    authority.split(|byte| *byte == b':').next()
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn an_authority_is_lower_case_without_port_and_last_dot() {
        for (authority, key) in [
            ("shop.example.com", "shop.example.com"),
            ("SHOP.Example.com", "shop.example.com"),
            ("shop.example.com:8080", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("Shop.example.com.:443", "shop.example.com"),
            ("shop.example.com:", "shop.example.com"),
            ("localhost", "localhost"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("user@shop.example.com", "user@shop.example.com"),
        ] {
            let found = Key::of_authority(authority.as_bytes());
            assert_eq!(found.as_ref().and_then(Key::as_str), Some(key), "{authority}");
        }
    }

    #[test]
    fn what_can_be_no_host_has_no_key() {
        for authority in ["", ".", "..", ".example.com", "a..example.com", "example.com..", ":80", "::1", "[::1", "["] {
            assert_eq!(Key::of_authority(authority.as_bytes()), None, "{authority}");
        }
        let long = [b'a'; Key::MAX + 1];
        assert_eq!(Key::of_authority(&long), None);
        assert!(Key::of_authority(&long[1..]).is_some());
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let wildcard = |host: &str| Key::of_authority(host.as_bytes()).and_then(|key| key.wildcard());
        assert_eq!(wildcard("x.example.com"), Key::of_rule("*.example.com"));
        assert_eq!(wildcard("x.y.example.com"), Key::of_rule("*.y.example.com"));
        assert_ne!(wildcard("x.y.example.com"), Key::of_rule("*.example.com"));
        assert_ne!(wildcard("example.com"), Key::of_rule("*.example.com"));
        assert_eq!(wildcard("localhost"), None);
        assert_eq!(wildcard("[::ffff:10.0.0.1]"), None);
    }

    #[test]
    fn rules_have_keys_of_their_own_kind() {
        let key = |host: &str| Key::of_rule(host);
        assert_eq!(key("Shop.example.com"), Key::of_authority(b"shop.example.com"));
        assert_eq!(key("*.Example.com").as_ref().and_then(Key::as_str), Some("_.example.com"));
        assert_eq!(key(""), Some(Key::CATCH_ALL));
        assert_eq!(Key::CATCH_ALL.as_bytes(), b"_");
        assert_eq!(key("*."), None);
    }

    /// Held by the operator and every module that still runs: a change here is a change of the protocol.
    #[test]
    fn shards_are_these() {
        for (host, shard) in [("a.example.com", 3723), ("*.example.com", 10_125), ("", 2126)] {
            assert_eq!(Key::of_rule(host).map(|key| key.shard()), Some(shard), "{host}");
        }
    }
}
