//! An Envoy with one listener whose routes are in shards, as the operator makes them, but all in its bootstrap.

use std::{
    collections::BTreeMap,
    env,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use axoneme_hostkey::{FILTER, HOST_HEADER, Key, MODULE, SHARD_HEADER, shard_of};
use axoneme_testnet::{Process, envoy, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::upstream;

const PATIENCE: Duration = Duration::from_secs(30);
const HTTP_FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// A running Envoy.
pub(crate) struct Proxy {
    folder: TempDir,
    process: Process,
}

/// What a client got.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The rule whose route was taken.
    pub(crate) rule: Option<String>,
    /// What the backend was asked.
    pub(crate) body: String,
}

impl Proxy {
    /// Starts Envoy with these rules in so many shards, and waits until it answers.
    pub(crate) fn start(shards: &str, rules: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        upstream::serve(&folder.path().join("upstream"));
        let mut process = Process::start(command(folder.path(), &listener(shards, rules))).unwrap();
        let socket = folder.path().join("in");
        let waited =
            wait_until("Envoy", PATIENCE, || Ok(UnixStream::connect(&socket).is_ok() || process.ended()?.is_some()));
        assert!(waited.is_ok() && process.ended().unwrap().is_none(), "{}", process.log().unwrap());
        Self { folder, process }
    }

    /// What Envoy warned of.
    pub(crate) fn log(&self) -> String {
        self.process.log().unwrap()
    }

    pub(crate) fn ask(&self, version: &str, host: &str, headers: &[String]) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--include", version, "--unix-socket"]);
        curl.arg(self.folder.path().join("in")).args(["--header", &format!("host: {host}")]);
        for header in headers {
            curl.args(["--header", header]);
        }
        let output = curl.arg("http://envoy/").output().unwrap();
        assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let rule = head.lines().find_map(|line| line.strip_prefix("x-rule:")).map(|rule| rule.trim().to_owned());
        Answer { status, rule, body: body.to_owned() }
    }

    /// Opens a websocket and sends a word. Gives the head of the answer and what came back.
    pub(crate) fn websocket(&self, host: &str) -> (String, String) {
        let mut stream = UnixStream::connect(self.folder.path().join("in")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let head = upstream::head(&mut stream).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).unwrap();
        (head, String::from_utf8_lossy(&word).into_owned())
    }
}

/// What `envoy --mode validate` says to a listener; `Ok` if it takes it.
pub(crate) fn validate(listener: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), listener).args(["--mode", "validate"]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn command(folder: &Path, listener: &Value) -> Command {
    let pipe = |name: &str| json!({"pipe": {"path": folder.join(name)}});
    let mut listener = listener.clone();
    listener["address"] = pipe("in");
    let bootstrap = json!({"static_resources": {
        "listeners": [listener],
        "clusters": [{"name": "upstream", "load_assignment": {"cluster_name": "upstream", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": pipe("upstream")}}]},
        ]}}],
    }});
    let file = folder.join("envoy.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&bootstrap).unwrap()).unwrap();
    let mut command = Command::new(envoy().unwrap());
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--config-path"]).arg(file);
    command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", module().parent().unwrap());
    command
}

/// What `cargo xtask module` built.
fn module() -> PathBuf {
    let built = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../module").join(format!("lib{MODULE}.so"));
    let path = env::var_os("AXONEME_ENVOY_MODULE_FILE").map_or_else(built, PathBuf::from);
    assert!(path.exists(), "there is no {}: `cargo xtask module` builds it", path.display());
    path
}

/// A listener without an address. Each rule's route tells the rule in a header of the answer.
pub(crate) fn listener(shards: &str, rules: &[&str]) -> Value {
    let number = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": shards});
    let module = json!({"name": MODULE});
    json!({"name": "in", "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "scoped_routes": {
            "name": "hosts",
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": SHARD_HEADER, "index": 0}}]},
            "scoped_route_configurations_list": {"scoped_route_configurations": scopes(shards, rules)},
        },
        "early_header_mutation_extensions": [{"name": FILTER, "typed_config": {
            "@type": "type.googleapis.com/\
                      envoy.extensions.http.early_header_mutation.dynamic_modules.v3.DynamicModuleEarlyHeaderMutation",
            "dynamic_module_config": module, "early_header_mutation_name": FILTER, "early_header_mutation_config": number,
        }}],
        "http_filters": [
            {"name": FILTER, "typed_config": {
                "@type": format!("{HTTP_FILTERS}.dynamic_modules.v3.DynamicModuleFilter"),
                "dynamic_module_config": module, "filter_name": FILTER, "filter_config": number,
            }},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{HTTP_FILTERS}.router.v3.Router")}},
        ],
    }}]}]})
}

fn scopes(shards: &str, rules: &[&str]) -> Vec<Value> {
    // A listener that is to be refused has none.
    let shards = shards.parse::<u32>().unwrap_or(1).clamp(1, 8);
    let mut hosts = (0..shards).map(|shard| (shard, Vec::new())).collect::<BTreeMap<_, _>>();
    for rule in rules {
        let key = Key::of_rule(rule).unwrap();
        let route = json!({
            "match": {"prefix": "/"},
            "route": {"cluster": "upstream"},
            "response_headers_to_add": [{"header": {"key": "x-rule", "value": rule}, "keep_empty_value": true}],
        });
        let host = json!({"name": key.as_str(), "domains": [key.as_str()], "routes": [route]});
        hosts.entry(shard_of(key.as_bytes(), shards)).or_default().push(host);
    }
    hosts.into_iter().map(scope).collect()
}

fn scope((shard, hosts): (u32, Vec<Value>)) -> Value {
    let name = format!("shard-{shard}");
    json!({
        "name": name,
        "key": {"fragments": [{"string_key": shard.to_string()}]},
        "route_configuration": {
            "name": name,
            "vhost_header": HOST_HEADER,
            "request_headers_to_remove": [HOST_HEADER, SHARD_HEADER],
            "typed_per_filter_config": {FILTER: {
                "@type": format!("{HTTP_FILTERS}.dynamic_modules.v3.DynamicModuleFilterPerRoute"),
                "dynamic_module_config": {"name": MODULE},
                "filter_name": FILTER,
            }},
            "virtual_hosts": hosts,
        },
    })
}
