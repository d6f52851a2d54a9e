//! A config that passes every check, Envoy's own included, and that Envoy dies of.

/// The config `deadly` of a namespace, as YAML; the file says what is deadly in it. Another `version`, from 1 on, is another
/// content: what was found deadly once stays away. Mended it is with `HTTP1` in the place of `HTTP3`.
#[must_use]
pub fn deadly(namespace: &str, version: usize) -> String {
    include_str!("../deadly.yaml").replace("@NAMESPACE@", namespace).replace("VERSION", &version.to_string())
}
