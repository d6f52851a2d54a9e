//! Clusters that Envoy accepts and dies of.

use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, ReflectMessage as _, Value};

use crate::{Problem, encode, path::Path};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const QUIC: &str = "envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport";

/// Looks at clusters. Other messages pass.
///
/// Envoy 1.40 dies of the first health check in HTTP/3 on a connection without QUIC, and `--mode validate` does not see it.
/// Which of `transport_socket_matches` a host gets is decided by the host's metadata, so that is Envoy's to find out.
pub(super) fn check(cluster: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    if cluster.descriptor().full_name() != CLUSTER || speaks_quic(cluster) {
        return;
    }
    let checks = encode::get(cluster, "health_checks").and_then(Value::as_list).unwrap_or_default();
    for (at, check) in checks.iter().filter_map(Value::as_message).enumerate() {
        if encode::get_message(check, "http_health_check").is_some_and(is_http3) {
            let message = "is HTTP3 on a connection without QUIC: Envoy crashes of the first check; take HTTP1 or HTTP2, or \
                           give the cluster a transport_socket of type QuicUpstreamTransport";
            problems.push(Problem::error(
                path.to(&format!("health_checks[{at}].http_health_check.codec_client_type")),
                message,
            ));
        }
    }
}

fn speaks_quic(cluster: &DynamicMessage) -> bool {
    let socket = encode::get_message(cluster, "transport_socket");
    let config = socket.and_then(|socket| encode::get_message(socket, "typed_config"));
    config.is_some_and(|any| encode::get_str(any, "type_url").rsplit('/').next() == Some(QUIC))
}

fn is_http3(check: &DynamicMessage) -> bool {
    let Some(field) = check.descriptor().get_field_by_name("codec_client_type") else { return false };
    let Kind::Enum(codecs) = field.kind() else { return false };
    encode::get(check, field.name()).and_then(Value::as_enum_number) == number(&codecs, "HTTP3")
}

fn number(values: &EnumDescriptor, name: &str) -> Option<i32> {
    values.get_value_by_name(name).map(|value| value.number())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::decode;

    fn problems(codec: &str, fields: &Value) -> Vec<String> {
        let check = |codec: &str| {
            json!({
                "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                "http_health_check": {"path": "/", "codec_client_type": codec},
            })
        };
        let mut json = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "c",
            "health_checks": [check("HTTP1"), check(codec)],
        });
        json.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        decode(&json, "r").err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_health_check_in_http3_needs_quic() {
        let quic = json!({"transport_socket": {"name": "quic", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport",
            "upstream_tls_context": {},
        }}});
        let plain = json!({"transport_socket": {"name": "plain", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        }}});
        let at = "r.health_checks[1].http_health_check.codec_client_type: is HTTP3 on a connection without QUIC";
        for fields in [json!({}), plain] {
            let found = problems("HTTP3", &fields);
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
        assert_eq!(problems("HTTP3", &quic), [""; 0]);
        assert_eq!(problems("HTTP2", &json!({})), [""; 0]);
    }
}
