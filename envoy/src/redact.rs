//! Private keys and passwords are not shown. Envoy's descriptors mark the fields that hold them.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use crate::{pool, visit};

const MARK: &str = "udpa.annotations.sensitive";
const REDACTED: &str = "[redacted]";

/// Puts a word in the place of every sensitive value in `message`.
pub(crate) fn redact(message: &mut DynamicMessage) {
    visit::rewrite(message, &mut Redactor);
}

struct Redactor;

impl visit::Rewriter for Redactor {
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        let mut changed = false;
        for (field, value) in message.fields_mut() {
            if is_sensitive(&field) {
                blank(&field.kind(), value);
                changed = true;
            }
        }
        changed
    }
}

fn is_sensitive(field: &FieldDescriptor) -> bool {
    let mark = pool::pool().get_extension_by_name(MARK);
    mark.is_some_and(|mark| field.options().get_extension(&mark).as_bool() == Some(true))
}

/// What an `Any` is made, as one without a type cannot be written as JSON.
const NOTHING: &str = "type.googleapis.com/google.protobuf.Empty";

/// A text or a DataSource says that something was there; anything else is emptied.
fn blank(kind: &Kind, value: &mut Value) {
    match value {
        Value::List(items) => items.iter_mut().for_each(|item| blank(kind, item)),
        Value::Map(entries) => entries.clear(),
        Value::Message(inner) => {
            *inner = DynamicMessage::new(inner.descriptor());
            let (field, text) = match inner.descriptor().full_name() {
                "google.protobuf.Any" => ("type_url", NOTHING),
                _ => ("inline_string", REDACTED),
            };
            // Not a DataSource: it stays empty.
            let _ = inner.try_set_field_by_name(field, Value::String(text.to_owned()));
        }
        Value::String(text) => REDACTED.clone_into(text),
        other => *other = Value::default_value(kind),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::decode;

    #[test]
    fn keys_and_passwords_are_not_shown_wherever_they_stand() {
        let source = |text: &str| json!({"inline_string": text});
        let certificate = json!({"certificate_chain": source("public"), "private_key": source("hidden"), "password": source("hidden")});
        let secret = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": "s",
            "tls_certificate": certificate,
        });
        let cluster = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "c",
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {"tls_certificates": [certificate]},
            }},
        });
        let generic = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": "s",
            "generic_secret": {"secret": source("hidden")},
        });
        let provider = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "c",
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.PrivateKeyProvider",
                "provider_name": "p",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.KeySource",
                    "header": "hidden",
                },
            }},
        });
        let shown = decode(&provider, "r").ok().unwrap().redacted().to_json().unwrap().to_string();
        assert!(!shown.contains("hidden") && shown.contains("google.protobuf.Empty"), "{shown}");
        for json in [secret, cluster, generic] {
            let shown = decode(&json, "r").ok().unwrap().redacted().to_json().unwrap().to_string();
            assert!(!shown.contains("hidden"), "{shown}");
            assert!(shown.contains("[redacted]"), "{shown}");
            assert_eq!(shown.contains("public"), json.to_string().contains("public"));
        }
    }
}
