//! Paths as the proxy compares them. It normalises those of requests first, so those of rules must be written alike.

/// Bytes that need no escape in a path, of those that are no letters and digits: as the WHATWG's URL standard has it, which Envoy's
/// normalisation follows (<https://url.spec.whatwg.org/#path-percent-encode-set>).
const PLAIN: &[u8] = b"!$%&'()*+,-./:;=@[\\]_~";

/// A path with its escapes as they are after normalisation: none for letters, digits and `-._~`, and one for every byte that cannot
/// stand for itself. An escape that means something else is left as it is.
pub(super) fn normalised(path: &str) -> String {
    let mut bytes = path.as_bytes();
    let mut normalised = String::with_capacity(path.len());
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        if *first == b'%'
            && let Some((byte, rest)) = escaped(rest)
            && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        {
            normalised.push(char::from(byte));
            bytes = rest;
            continue;
        }
        if first.is_ascii_alphanumeric() || PLAIN.contains(first) {
            normalised.push(char::from(*first));
        } else {
            normalised.push_str(&format!("%{first:02X}"));
        }
    }
    normalised
}

/// What the two digits after a `%` stand for, and what comes after them.
fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(2)?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()))?;
    Some((u8::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_the_proxy_writes_it() {
        for (path, wanted) in [
            ("/", "/"),
            ("/a.b/~c-d_e", "/a.b/~c-d_e"),
            ("/a|b", "/a%7Cb"),
            ("/a%7Cb", "/a%7Cb"),
            ("/%61dmin", "/admin"),
            ("/%7e", "/~"),
            ("/über", "/%C3%BCber"),
            ("/a b", "/a%20b"),
            ("/{x}`", "/%7Bx%7D%60"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/$(x)*+,;=:@!&'", "/$(x)*+,;=:@!&'"),
        ] {
            assert_eq!(normalised(path), wanted);
        }
    }
}
