//! The kernel's words in an error of aya.

/// With all its causes: the kernel's words are in the last one.
pub(super) fn text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
