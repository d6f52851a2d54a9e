//! What clients trust while the authority changes: the new certificate and the one before.

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The published bundle: `current` first, then the newest other certificate of `published`.
///
/// Two suffice, for replicas run at most the current and the previous authority; an older one would only widen trust.
#[must_use]
pub fn bundle(current: &str, published: &str) -> String {
    let previous = published
        .split_inclusive("-----END CERTIFICATE-----")
        .filter_map(|part| part.find(BEGIN).map(|start| part[start..].trim()))
        .find(|certificate| *certificate != current.trim());
    match previous {
        Some(previous) => format!("{}\n{previous}\n", current.trim()),
        None => format!("{}\n", current.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(body: &str) -> String {
        format!("{BEGIN}\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn the_first_authority_stands_alone() {
        assert_eq!(bundle(&pem("one"), ""), pem("one"));
    }

    #[test]
    fn the_previous_one_stays_and_older_ones_go() {
        let two = bundle(&pem("two"), &pem("one"));
        assert_eq!(two, pem("two") + &pem("one"));
        assert_eq!(bundle(&pem("three"), &two), pem("three") + &pem("two"));
    }

    #[test]
    fn publishing_again_changes_nothing() {
        let published = bundle(&pem("two"), &pem("one"));
        assert_eq!(bundle(&pem("two"), &published), published);
    }
}
