//! Whether Envoy takes an expression. In shared mode one that it refuses would hold up the routes of other people's hosts.
//!
//! Envoy's engine is RE2. Ours has the same syntax but for some rarely used parts, which both may understand differently: they
//! are refused here, with a reason. <https://github.com/google/re2/wiki/Syntax>

/// RE2's limit of `{n}`.
const MOST_REPEATS: u32 = 1000;

/// Why an expression cannot be used.
///
/// # Errors
/// The reason, for a sentence that begins with the expression.
pub(super) fn check(regex: &str) -> Result<(), String> {
    let engine = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().to_owned();
    regex::Regex::new(regex).map_err(engine)?;
    let mut rest = regex.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let follows = |text: &str| regex.get(at + c.len_utf8()..).is_some_and(|rest| rest.starts_with(text));
        match c {
            '\\' => match rest.next() {
                Some((_, escaped)) if escaped.is_ascii_punctuation() || "dDwWsSbBAztnrfv".contains(escaped) => {
                    if escaped == 'b' && regex.get(at + 2..).is_some_and(|rest| rest.starts_with('{')) {
                        return Err("\\b{...} is not understood by Envoy".to_owned());
                    }
                }
                Some((_, escaped)) => return Err(format!("\\{escaped} is not supported here")),
                None => return Err("ends with a backslash".to_owned()),
            },
            '(' if follows("?") && !["?:", "?i)", "?i:", "?P<"].iter().any(|it| follows(it)) => {
                return Err("of the groups that begin with (? only (?:, (?i), (?i: and (?P< are supported".to_owned());
            }
            '{' => {
                let bounds = regex.get(at + 1..).and_then(|rest| rest.split('}').next()).unwrap_or_default();
                let numbers = bounds.split(',').filter_map(|number| number.trim().parse::<u32>().ok());
                if numbers.max().is_some_and(|most| most > MOST_REPEATS) {
                    return Err(format!("repeats something more than {MOST_REPEATS} times"));
                }
            }
            '[' if follows("[") || ["&&", "--", "~~"].iter().any(|it| regex.contains(it)) => {
                return Err("sets of characters inside of sets are not supported".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_envoy_takes_is_taken() {
        for regex in [r"/v[0-9]+/items", r"/(a|b)/.*", r"/(?i)x\.html", r"/\d{1,3}(?:/[^/]+)?", "/", r"[/]v\w+$"] {
            assert_eq!(check(regex), Ok(()), "{regex}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_refused() {
        for regex in [
            "/(",
            "/[",
            "/a**{",
            "/(?=x)",
            r"/(a)\1",
            r"/\x{2028}",
            "/a{1001}",
            r"/\p{Greek}",
            "/[a&&b]",
            "/(?x) a",
            "/[[a]b]",
            r"/\b{start}",
            "/\\",
        ] {
            assert!(check(regex).is_err(), "{regex}");
        }
    }
}
