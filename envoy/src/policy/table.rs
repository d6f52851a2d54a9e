//! Which messages and fields of Envoy reach beyond traffic, and how.
//!
//! Nothing in Envoy's descriptors says so; this table is ours. A test goes over the whole descriptor set and asks for a
//! decision on every field that has a file or a path in its name.

/// What a resource can make Envoy do beyond handling traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Read or write files of the proxy's container.
    Files,
    /// Read environment variables of the proxy.
    Environment,
    /// Connect to or listen on Unix sockets, the proxy's own among them.
    Sockets,
    /// Take configuration that nobody has checked.
    UncheckedConfig,
    /// Record other people's traffic.
    Tap,
    /// Run Lua.
    Lua,
    /// Run WebAssembly.
    Wasm,
    /// Load shared libraries.
    NativeCode,
    /// Use the node's identity in its cloud.
    CloudIdentity,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Files,
        Self::Environment,
        Self::Sockets,
        Self::UncheckedConfig,
        Self::Tap,
        Self::Lua,
        Self::Wasm,
        Self::NativeCode,
        Self::CloudIdentity,
    ];

    /// The word that allows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Environment => "environment",
            Self::Sockets => "sockets",
            Self::UncheckedConfig => "unchecked-config",
            Self::Tap => "tap",
            Self::Lua => "lua",
            Self::Wasm => "wasm",
            Self::NativeCode => "native-code",
            Self::CloudIdentity => "cloud-identity",
        }
    }

    /// What it does, as the end of a sentence that begins with the field.
    #[must_use]
    pub const fn risk(self) -> &'static str {
        match self {
            Self::Files => "reads or writes files of the proxy's container",
            Self::Environment => "reads the proxy's environment variables",
            Self::Sockets => "reaches Unix sockets of the node, the proxy's admin socket among them",
            Self::UncheckedConfig => "brings configuration into the proxy that nobody has checked",
            Self::Tap => "records traffic, that of others too",
            Self::Lua => "runs Lua inside the proxy, which can read files and start programs",
            Self::Wasm => "runs WebAssembly inside the proxy",
            Self::NativeCode => "loads a shared library into the proxy",
            Self::CloudIdentity => "acts with the node's own identity in its cloud",
        }
    }
}

/// Messages that are denied whole. A name that ends in a dot stands for a package and all below it.
pub(super) const MESSAGES: &[(&str, Capability)] = &[
    ("envoy.extensions.filters.http.file_server.", Capability::Files),
    ("envoy.config.core.v3.Pipe", Capability::Sockets),
    ("xds.type.v3.TypedStruct", Capability::UncheckedConfig),
    ("udpa.type.v1.TypedStruct", Capability::UncheckedConfig),
    // The name of a Secret, anybody's, out of a connection.
    ("envoy.extensions.transport_sockets.tls.cert_mappers.filter_state_override.", Capability::UncheckedConfig),
    ("envoy.extensions.transport_sockets.tls.cert_mappers.sni.", Capability::UncheckedConfig),
    ("envoy.extensions.filters.http.tap.", Capability::Tap),
    ("envoy.extensions.transport_sockets.tap.", Capability::Tap),
    ("envoy.extensions.filters.http.lua.", Capability::Lua),
    ("envoy.extensions.router.cluster_specifiers.lua.", Capability::Lua),
    ("envoy.extensions.string_matcher.lua.", Capability::Lua),
    ("envoy.extensions.access_loggers.wasm.", Capability::Wasm),
    ("envoy.extensions.filters.http.wasm.", Capability::Wasm),
    ("envoy.extensions.filters.network.wasm.", Capability::Wasm),
    ("envoy.extensions.filters.http.aws_lambda.", Capability::CloudIdentity),
    ("envoy.extensions.filters.http.aws_request_signing.", Capability::CloudIdentity),
    ("envoy.extensions.filters.http.gcp_authn.", Capability::CloudIdentity),
];

/// A part of a message's name that stands for native code wherever it is.
pub(super) const MODULES: &str = ".dynamic_modules.";

/// Denied fields, and the values that are harmless all the same.
pub(super) const FIELDS: &[(&str, &str, Capability, &[&str])] = &[
    ("envoy.config.core.v3.DataSource", "filename", Capability::Files, &[PUBLIC_CERTIFICATES]),
    ("envoy.config.core.v3.DataSource", "environment_variable", Capability::Environment, &[]),
    ("envoy.config.core.v3.WatchedDirectory", "path", Capability::Files, &[]),
    ("envoy.config.core.v3.SocketAddress", "network_namespace_filepath", Capability::Files, &[]),
    ("envoy.config.core.v3.HealthCheck", "event_log_path", Capability::Files, LOG),
    ("envoy.config.core.v3.ConfigSource", "path", Capability::UncheckedConfig, &[]),
    ("envoy.config.core.v3.ConfigSource", "path_config_source", Capability::UncheckedConfig, &[]),
    ("envoy.config.core.v3.ConfigSource", "api_config_source", Capability::UncheckedConfig, &[]),
    (STS, "subject_token_path", Capability::Files, &[]),
    (STS, "actor_token_path", Capability::Files, &[]),
    (CALL_CREDENTIALS, "google_compute_engine", Capability::CloudIdentity, &[]),
    (CHANNEL_CREDENTIALS, "google_default", Capability::CloudIdentity, &[]),
    ("envoy.config.trace.v3.LightstepConfig", "access_token_file", Capability::Files, &[]),
    ("envoy.config.trace.v3.DynamicOtConfig", "library", Capability::NativeCode, &[]),
    ("envoy.extensions.access_loggers.file.v3.FileAccessLog", "path", Capability::Files, LOG),
    (
        "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor",
        Capability::Files,
        &[],
    ),
    (
        "envoy.extensions.filters.http.grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder",
        "descriptor_path",
        Capability::Files,
        &[],
    ),
    (MAXMIND, "city_db_path", Capability::Files, &[]),
    (MAXMIND, "asn_db_path", Capability::Files, &[]),
    (MAXMIND, "anon_db_path", Capability::Files, &[]),
    (MAXMIND, "isp_db_path", Capability::Files, &[]),
    (MAXMIND, "country_db_path", Capability::Files, &[]),
    (
        "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
        "event_log_path",
        Capability::Files,
        LOG,
    ),
    (
        "envoy.extensions.http.cache.file_system_http_cache.v3.FileSystemHttpCacheConfig",
        "cache_path",
        Capability::Files,
        &[],
    ),
    (
        "envoy.extensions.http.cache_v2.file_system_http_cache.v3.FileSystemHttpCacheV2Config",
        "cache_path",
        Capability::Files,
        &[],
    ),
    ("envoy.extensions.key_value.file_based.v3.FileBasedKeyValueStoreConfig", "filename", Capability::Files, &[]),
    ("envoy.extensions.transport_sockets.tls.v3.TlsKeyLog", "path", Capability::Files, &[]),
];

/// Operators of format strings, which can stand in any text.
pub(super) const OPERATORS: [(&str, Capability); 2] =
    [("%ENVIRONMENT(", Capability::Environment), ("%FILE_CONTENT(", Capability::Files)];

/// Where log lines of a container belong.
const LOG: &[&str] = &["/dev/stdout", "/dev/stderr"];
/// Part of the usual images, and nobody's secret.
const PUBLIC_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const STS: &str = "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials.StsService";
const CALL_CREDENTIALS: &str = "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials";
const CHANNEL_CREDENTIALS: &str = "envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelCredentials";
const MAXMIND: &str = "envoy.extensions.geoip_providers.maxmind.v3.MaxMindConfig";

/// What a message needs as a whole.
pub(super) fn of_message(name: &str) -> Option<Capability> {
    if name.contains(MODULES) {
        return Some(Capability::NativeCode);
    }
    let covers = |row: &str| if row.ends_with('.') { name.starts_with(row) } else { name == row };
    MESSAGES.iter().find(|(row, _)| covers(row)).map(|(_, capability)| *capability)
}

/// What a field needs when it is set, unless its value is one of these.
pub(super) fn of_field(message: &str, field: &str) -> Option<(Capability, &'static [&'static str])> {
    let row = FIELDS.iter().find(|(of, name, ..)| *of == message && *name == field)?;
    Some((row.2, row.3))
}
