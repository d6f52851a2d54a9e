//! How values of annotations are written.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

/// Seconds: what Envoy can count in nanoseconds.
const LONGEST: u64 = 9_223_372_036;

/// Addresses that share their first bits, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// One of them.
    pub address: IpAddr,
    /// How many bits they share.
    pub bits: u8,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// As Cilium reads it: `enabled`, `disabled`, and the words of Go's `ParseBool`.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value {
        "enabled" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "disabled" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// As in `192.0.2.0/24`.
pub(crate) fn range(text: &str) -> Option<Range> {
    let (address, bits) = text.split_once('/')?;
    let range = Range { address: address.parse().ok()?, bits: bits.parse().ok()? };
    (range.bits <= if range.address.is_ipv4() { 32 } else { 128 }).then_some(range)
}

/// As Go writes durations: `10s`, `1m30s`, `500ms`, `0`. `None` when it is none, or negative.
#[must_use]
pub fn duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    // Spaces, words and ISO 8601 are of the parser, not of Go.
    let is_go = value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains(char::is_whitespace);
    let parsed: SignedDuration = is_go.then(|| value.parse().ok()).flatten()?;
    Duration::try_from(parsed).ok().filter(|duration| duration.as_secs() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let seconds = |text: &str| duration(text).map(|duration| duration.as_secs_f64());
        for (text, wanted) in
            [("0", 0.0), ("0s", 0.0), ("10s", 10.0), ("1m30s", 90.0), ("500ms", 0.5), ("1.5h", 5400.0)]
        {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for wrong in ["", "10", "-1s", "s", "1 s", "PT1S", "ten seconds", "300y", "99999999999999999999s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_have_as_many_bits_as_their_family() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(range(text).map(|range| range.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "192.0.2.1", "192.0.2.0/33", "::/129", "192.0.2.0/-1", "here/8"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
