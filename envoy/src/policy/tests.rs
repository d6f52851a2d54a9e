//! The table covers the descriptor set and nothing else, and each row denies.

use serde_json::{Value, json};

use super::*;
use crate::{decode_under, policy::table::of_message, pool::pool};

/// String fields with a file or a path in their name that reach no file: paths of URLs, mostly.
const NO_FILES: &[&str] = &[
    "envoy.config.core.v3.HealthCheck.HttpHealthCheck.path",
    "envoy.config.route.v3.",
    "envoy.extensions.clusters.mcp_multicluster.",
    // Inside AwsRequestSigning or the like, which are denied whole.
    "envoy.extensions.common.aws.",
    "envoy.extensions.filters.http.a2a.",
    "envoy.extensions.filters.http.ext_authz.",
    "envoy.extensions.filters.http.mcp",
    "envoy.extensions.filters.http.oauth2.",
    "envoy.extensions.filters.network.reverse_tunnel.",
    "envoy.extensions.filters.network.tcp_proxy.",
    "envoy.extensions.filters.udp.udp_proxy.",
    "envoy.extensions.path.",
    "envoy.type.http.v3.Cookie.path",
    // Inside ConfigSource.path_config_source and the sinks of taps.
    "envoy.config.core.v3.PathConfigSource.path",
    "envoy.config.tap.",
    // Reports of Envoy.
    "envoy.data.",
    // Stands in no resource.
    "envoy.config.bootstrap.",
    "envoy.extensions.bootstrap.",
    "envoy.extensions.network.socket_interface.",
    "envoy.extensions.resource_monitors.",
    "envoy.extensions.watchdog.",
    "google.protobuf.",
];

#[test]
fn every_field_with_a_file_or_a_path_has_a_decision() {
    let mut open = Vec::new();
    for message in pool().all_messages().filter(|message| of_message(message.full_name()).is_none()) {
        for field in message.fields().filter(|field| field.kind() == prost_reflect::Kind::String) {
            let full = format!("{}.{}", message.full_name(), field.name());
            let named = ["file", "path", "library", "environment"].iter().any(|word| field.name().contains(word));
            let decided = table::of_field(message.full_name(), field.name()).is_some()
                || NO_FILES.iter().any(|row| full.starts_with(row));
            if named && !decided {
                open.push(full);
            }
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn every_row_is_about_something_that_this_envoy_has() {
    let is_there = |row: &str| pool().all_messages().any(|message| message.full_name().starts_with(row));
    let messages = table::MESSAGES.iter().map(|(row, _)| *row).filter(|row| !is_there(row));
    assert_eq!(messages.collect::<Vec<_>>(), Vec::<&str>::new());
    let missing = |(message, field): &(&str, &str)| {
        pool().get_message_by_name(message).is_none_or(|message| message.get_field_by_name(field).is_none())
    };
    let fields = table::FIELDS.iter().map(|(message, field, ..)| (*message, *field)).filter(missing);
    assert_eq!(fields.collect::<Vec<_>>(), Vec::<(&str, &str)>::new());
    assert!(pool().all_messages().any(|message| message.full_name().contains(table::MODULES)));
}

/// A listener whose HCM has these fields next to the necessary ones.
fn listener(hcm: &Value) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "s",
        "rds": {"route_config_name": "r"},
        "http_filters": [{"name": "envoy.filters.http.router"}],
    });
    config.as_object_mut().unwrap().extend(hcm.as_object().unwrap().clone());
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "l",
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": config}]}],
    })
}

fn http_filter(config: &Value) -> Value {
    listener(&json!({"http_filters": [
        // Left out, but it counts in paths.
        {"name": "cilium.l7policy"},
        {"name": "x", "typed_config": config},
        {"name": "envoy.filters.http.router"},
    ]}))
}

fn cluster(fields: &Value) -> Value {
    let mut json = json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "c"});
    json.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json
}

fn upstream_tls(trusted_ca: &Value) -> Value {
    cluster(&json!({"transport_socket": {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": {"trusted_ca": trusted_ca}},
    }}}))
}

fn access_log(path: &str) -> Value {
    listener(&json!({"access_log": [{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
    }}]}))
}

/// The capability that each denied field of `json` would need, with its path.
fn denied(json: &Value) -> Vec<(Capability, String)> {
    let problems = decode_under(json, "r", &Policy::default()).err().unwrap_or_default();
    let errors = problems.into_iter().filter(Problem::is_error);
    errors.map(|problem| (problem.denied.expect("only the policy refuses it"), problem.path)).collect()
}

fn samples() -> Vec<(Capability, Value, &'static str)> {
    const FILTER: &str = "r.filter_chains[0].filters[0].typed_config.http_filters[1].typed_config";
    let type_ = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    vec![
        (
            Capability::Files,
            access_log("/etc/passwd"),
            "r.filter_chains[0].filters[0].typed_config.access_log[0].typed_config.path",
        ),
        (
            Capability::Files,
            upstream_tls(&json!({"filename": "/run/secrets/ca"})),
            "r.transport_socket.typed_config.common_tls_context.validation_context.trusted_ca.filename",
        ),
        (
            Capability::Environment,
            upstream_tls(&json!({"environment_variable": "CA"})),
            "r.transport_socket.typed_config.common_tls_context.validation_context.trusted_ca.environment_variable",
        ),
        (
            Capability::Environment,
            listener(&json!({"access_log": [{"name": "stdout", "typed_config": {
                "@type": type_("access_loggers.stream.v3.StdoutAccessLog"),
                "log_format": {"json_format": {"deep": {"secret": "%ENVIRONMENT(TOKEN)%"}}},
            }}]})),
            "r.filter_chains[0].filters[0].typed_config.access_log[0].typed_config.log_format.json_format",
        ),
        (
            Capability::Sockets,
            cluster(&json!({"load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"pipe": {"path": "/run/axoneme/admin.sock"}}}},
            ]}]}})),
            "r.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe",
        ),
        (
            Capability::UncheckedConfig,
            listener(&json!({"rds": {"route_config_name": "r", "config_source": {"path": "/tmp/routes"}}})),
            "r.filter_chains[0].filters[0].typed_config.rds.config_source.path",
        ),
        (
            Capability::UncheckedConfig,
            http_filter(&json!({
                "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
                "type_url": type_("filters.http.lua.v3.Lua"),
            })),
            FILTER,
        ),
        (
            Capability::Tap,
            http_filter(&json!({
                "@type": type_("filters.http.tap.v3.Tap"),
                "common_config": {"admin_config": {"config_id": "x"}},
            })),
            FILTER,
        ),
        (
            Capability::Lua,
            http_filter(&json!({
                "@type": type_("filters.http.lua.v3.Lua"),
                "default_source_code": {"inline_string": "os.exit()"},
            })),
            FILTER,
        ),
        (
            Capability::Wasm,
            http_filter(&json!({"@type": type_("filters.http.wasm.v3.Wasm"), "config": {"name": "x"}})),
            FILTER,
        ),
        (
            Capability::NativeCode,
            http_filter(&json!({
                "@type": type_("filters.http.dynamic_modules.v3.DynamicModuleFilter"),
                "dynamic_module_config": {"name": "x"},
            })),
            FILTER,
        ),
        (
            Capability::UncheckedConfig,
            cluster(&json!({"transport_socket": {"name": "tls", "typed_config": {
                "@type": type_("transport_sockets.tls.v3.UpstreamTlsContext"),
                "common_tls_context": {"custom_tls_certificate_selector": {"name": "by-name", "typed_config": {
                    "@type": type_("transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config"),
                    "certificate_mapper": {"name": "sni", "typed_config": {
                        "@type": type_("transport_sockets.tls.cert_mappers.sni.v3.SNI"),
                        "default_value": "default/own",
                    }},
                }}},
            }}})),
            "r.transport_socket.typed_config.common_tls_context.custom_tls_certificate_selector.typed_config\
             .certificate_mapper.typed_config",
        ),
        (
            Capability::CloudIdentity,
            http_filter(&json!({
                "@type": type_("filters.http.aws_request_signing.v3.AwsRequestSigning"),
                "service_name": "s3",
                "region": "eu-central-1",
            })),
            FILTER,
        ),
    ]
}

#[test]
fn what_reaches_beyond_traffic_is_denied_once_and_with_its_path() {
    for (capability, json, path) in samples() {
        assert_eq!(denied(&json), [(capability, path.to_owned())], "{json}");
    }
}

#[test]
fn what_is_allowed_by_name_is_taken_and_nothing_else_is() {
    for (capability, json, _) in samples() {
        let others: Policy = Capability::ALL.into_iter().filter(|it| *it != capability).collect();
        assert!(decode_under(&json, "r", &others).is_err(), "{json}");
        let problems = decode_under(&json, "r", &Policy::from_iter([capability])).err();
        assert_eq!(problems, None, "{json}");
    }
    let sampled: BTreeSet<_> = samples().into_iter().map(|(capability, ..)| capability).collect();
    assert_eq!(sampled, BTreeSet::from(Capability::ALL), "a capability without a sample");
}

#[test]
fn logs_of_the_container_and_public_certificates_are_harmless() {
    for path in ["/dev/stdout", "/dev/stderr"] {
        assert_eq!(denied(&access_log(path)), []);
    }
    assert_eq!(denied(&upstream_tls(&json!({"filename": "/etc/ssl/certs/ca-certificates.crt"}))), []);
    assert_ne!(denied(&access_log("/etc/ssl/certs/ca-certificates.crt")), []);
}

#[test]
fn words_of_the_flag_come_back() {
    for capability in Capability::ALL {
        assert_eq!(capability.as_str().parse::<Capability>().unwrap(), capability);
    }
    let error = "luaa".parse::<Capability>().unwrap_err().to_string();
    assert!(error.starts_with("\"luaa\" is none of files, environment,"), "{error}");
}

/// The table of `docs/extensions.md`.
fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| allowed by | what it does | where it stands |\n|---|---|---|\n");
    for capability in Capability::ALL {
        let messages =
            table::MESSAGES.iter().filter(|(_, of)| *of == capability).map(|(name, _)| match name.strip_suffix('.') {
                Some(package) => format!("`{package}`"),
                None => format!("`{name}`"),
            });
        let fields = table::FIELDS.iter().filter(|(_, _, of, _)| *of == capability);
        let fields = fields.map(|(message, field, _, harmless)| {
            let but = harmless.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
            let but = if but.is_empty() { but } else { format!(" (but not {but})") };
            format!("`{}.{field}`{but}", message.rsplit_once(".v3.").unwrap().1)
        });
        let operators = table::OPERATORS.iter().filter(|(_, of)| *of == capability);
        let operators = operators.map(|(operator, _)| format!("`{operator}...)%` in any text"));
        let modules = (capability == Capability::NativeCode).then(|| "every `dynamic_modules` extension".to_owned());
        let places = messages.chain(fields).chain(operators).chain(modules).collect::<Vec<_>>().join(", ");
        writeln!(text, "| `{capability}` | {} | {places} |", capability.risk()).unwrap();
    }
    text
}

#[test]
fn the_documented_table_is_this_one() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/extensions.md")).unwrap();
    assert!(page.contains(&markdown()), "put this into docs/extensions.md:\n\n{}", markdown());
}
