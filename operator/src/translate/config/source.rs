//! Backends that see the client's address: what a listener gets for it.
//!
//! Envoy binds its upstream connections to that address. The node sees the filter, and has replies find their way back.

use axoneme_envoy::bootstrap::ORIGINAL_SOURCE_MARK;
use serde_json::{Value, json};

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const FILTER: &str = "type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc";
/// Listeners with one of these are not what traffic is redirected to. Both spellings of JSON are fine.
const OWN_WAYS: [&str; 5] = ["address", "internal_listener", "internalListener", "api_listener", "apiListener"];

/// Adds the filter to a listener that takes redirected traffic, after those of its author, one of which may find out who the
/// client is. One that has the filter already stays as it is, and so does what is no listener.
pub(super) fn keep(resource: &mut Value) {
    let Some(listener) = resource.as_object_mut() else { return };
    let is_listener = listener.get("@type").and_then(Value::as_str) == Some(LISTENER);
    if !is_listener || OWN_WAYS.iter().any(|way| listener.contains_key(*way)) {
        return;
    }
    let key = if listener.contains_key("listenerFilters") { "listenerFilters" } else { "listener_filters" };
    // What is no list is told when it is decoded.
    let Some(filters) = listener.entry(key).or_insert_with(|| json!([])).as_array_mut() else { return };
    if !filters.iter().any(has_type) {
        let config = json!({ "@type": FILTER, "mark": ORIGINAL_SOURCE_MARK });
        filters.push(json!({ "name": "envoy.filters.listener.original_src", "typed_config": config }));
    }
}

fn has_type(filter: &Value) -> bool {
    let config = filter.get("typed_config").or_else(|| filter.get("typedConfig"));
    config.and_then(|config| config.get("@type")).and_then(Value::as_str) == Some(FILTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(mut resource: Value) -> Value {
        keep(&mut resource);
        resource
    }

    #[test]
    fn a_listener_that_takes_redirected_traffic_gets_the_filter_once_and_last() {
        for key in ["listener_filters", "listenerFilters"] {
            let before = json!({ "@type": LISTENER, "name": "l", (key): [{ "name": "proxy" }] });
            let once = kept(before);
            assert_eq!(
                (&once[key][0]["name"], &once[key][1]["typed_config"]["mark"]),
                (&json!("proxy"), &json!(0xb00))
            );
            assert_eq!(kept(once.clone()), once);
        }
        assert_eq!(kept(json!({ "@type": LISTENER }))["listener_filters"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let cluster = json!({ "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "c" });
        let wrong = json!({ "@type": LISTENER, "listener_filters": "none" });
        for same in [cluster, wrong, json!("text")] {
            assert_eq!(kept(same.clone()), same);
        }
        for way in OWN_WAYS {
            let own = json!({ "@type": LISTENER, (way): {} });
            assert_eq!(kept(own.clone()), own);
        }
    }
}
