//! What a user probably meant.

/// The candidate that is equal to `word` but for case and underscores, or nearest to it with an edit distance of at most 2.
pub(crate) fn nearest(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let wanted = plain(word);
    let distance = |candidate: &str| {
        let candidate = plain(candidate);
        // The distance is at least the difference in length; most candidates go out by that.
        (candidate.len().abs_diff(wanted.len()) <= 2).then(|| strsim::levenshtein(&candidate, &wanted))
    };
    let near = candidates.into_iter().filter_map(|candidate| Some((distance(&candidate)?, candidate)));
    near.filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len()).min().map(|(_, name)| name)
}
