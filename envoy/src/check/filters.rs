//! Filters that cannot be where they stand.

use prost_reflect::{DynamicMessage, ReflectMessage as _};

use crate::{Problem, encode, fill, path::Path, walker::cilium};

/// The messages that are filters, and the packages whose messages may configure them.
const PLACES: [(&str, &str, &[&str]); 3] = [
    (fill::HTTP_FILTER, "an http filter", &["http"]),
    ("envoy.config.listener.v3.Filter", "a network filter", &["network"]),
    ("envoy.config.listener.v3.ListenerFilter", "a listener filter", &["listener", "udp"]),
];

/// All packages of filters.
const PACKAGES: [&str; 4] = ["http", "network", "listener", "udp"];

/// A filter without a type, or one of another place. Other messages pass.
pub(super) fn check(filter: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    let descriptor = filter.descriptor();
    let Some((_, place, allowed)) = PLACES.iter().find(|(name, ..)| *name == descriptor.full_name()) else { return };
    if cilium::is_placeholder(filter) || filter.has_field_by_name("config_discovery") {
        return;
    }
    let Some(any) = encode::get_message(filter, "typed_config") else {
        let message = format!("is missing: Envoy knows {place} by its type, not by its name");
        return problems.push(Problem::error(path.to("typed_config"), message));
    };
    let type_url = encode::get_str(any, "type_url");
    let of = |package: &&str| type_url.contains(&format!("/envoy.extensions.filters.{package}."));
    if let Some(package) = PACKAGES.iter().find(|package| of(package) && !allowed.contains(package)) {
        let name = type_url.rsplit('.').next().unwrap_or_default();
        let message = format!("{name} is a filter for {package}, and cannot stand where {place} is expected");
        problems.push(Problem::error(path.to("typed_config"), message));
    }
}
