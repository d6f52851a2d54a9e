//! A real Envoy answers the same requests from the same configuration, and each route answers with its own place.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use axoneme_envoy::{ResourceKind, decode};
use axoneme_xds::{Resource, Store};
use serde_json::{Value, json};

use super::super::{request::Request, trace};

const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";

/// Domains, and matches of the routes of each.
fn table() -> Vec<(&'static str, Vec<Value>)> {
    let header = |matcher: Value| json!({"prefix": "/headers", "headers": [matcher]});
    let query = |matcher: Value| json!({"prefix": "/query", "query_parameters": [matcher]});
    let any = json!({"prefix": "/"});
    vec![
        (
            "exact.example",
            vec![
                json!({"path": "/path"}),
                json!({"path": "/CASE", "case_sensitive": false}),
                json!({"prefix": "/pre?"}),
                json!({"prefix": "/pre"}),
                json!({"path_separated_prefix": "/sep"}),
                json!({"safe_regex": {"regex": "/r[0-9]+"}}),
                json!({"safe_regex": {"regex": "/(a|ab)"}}),
                json!({"connect_matcher": {}}),
            ],
        ),
        (
            "headers.example",
            vec![
                header(json!({"name": "a", "string_match": {"exact": "1"}})),
                header(json!({"name": "a", "string_match": {"prefix": "PRE", "ignore_case": true}})),
                header(json!({"name": "a", "string_match": {"suffix": "end"}})),
                header(json!({"name": "a", "string_match": {"contains": "-mid-"}})),
                header(json!({"name": "a", "string_match": {"safe_regex": {"regex": "x+"}}})),
                header(json!({"name": "a", "range_match": {"start": "5", "end": "7"}})),
                header(json!({"name": "b", "present_match": true})),
                header(json!({"name": "c", "string_match": {"exact": "1"}, "invert_match": true})),
                header(json!({"name": "d", "string_match": {"exact": "1"}, "invert_match": true,
                          "treat_missing_header_as_empty": true})),
                json!({"prefix": "/method", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}),
                json!({"prefix": "/proto", "headers": [{"name": "x-forwarded-proto", "string_match": {"exact": "http"}}]}),
                json!({"prefix": "/grpc", "grpc": {}}),
                json!({"prefix": "/absent", "headers": [{"name": "b", "present_match": false}]}),
                json!({"prefix": "/absent", "headers": [{"name": "b", "present_match": true, "invert_match": true}]}),
                json!({"prefix": "/joined", "headers": [{"name": "a", "string_match": {"exact": "1,2"}}]}),
                json!({"prefix": "/named", "headers": [{"name": "b"}]}),
            ],
        ),
        (
            "query.example",
            vec![
                query(json!({"name": "a", "string_match": {"exact": "1"}})),
                query(json!({"name": "b", "present_match": true})),
                query(json!({"name": "c", "present_match": false})),
            ],
        ),
        (
            "cookie.example",
            vec![
                json!({"prefix": "/", "cookies": [{"name": "k", "string_match": {"exact": "v"}}]}),
                json!({"prefix": "/", "cookies": [{"name": "l", "string_match": {"exact": "v"}, "invert_match": true}]}),
            ],
        ),
        ("*.wild.example", vec![any.clone()]),
        ("*-more.wild.example", vec![any.clone()]),
        ("front.*", vec![any.clone()]),
        ("front.long.*", vec![any]),
        (
            "*",
            vec![
                json!({"prefix": "/only"}),
                json!({"runtime_fraction": {"default_value": {"numerator": 0}},
                                                       "prefix": "/never"}),
            ],
        ),
    ]
}

/// Host, path, method, headers.
const REQUESTS: [(&str, &str, &str, &[&str]); 74] = [
    ("exact.example", "/path", "GET", &[]),
    ("exact.example", "/path?a=b", "GET", &[]),
    ("EXACT.example", "/path/", "GET", &[]),
    ("exact.example:8080", "/path", "GET", &[]),
    ("exact.example", "/case", "GET", &[]),
    ("exact.example", "/Path", "GET", &[]),
    ("exact.example", "/pre?", "GET", &[]),
    ("exact.example", "/prefix", "GET", &[]),
    ("exact.example", "/sep", "GET", &[]),
    ("exact.example", "/sep?x=/", "GET", &[]),
    ("exact.example", "/sep/a", "GET", &[]),
    ("exact.example", "/separate", "GET", &[]),
    ("exact.example", "/r12", "GET", &[]),
    ("exact.example", "/r12x", "GET", &[]),
    ("exact.example", "/r12?x", "GET", &[]),
    ("exact.example", "/ab", "GET", &[]),
    ("exact.example", "/a/../path", "GET", &[]),
    ("exact.example", "/./path", "GET", &[]),
    ("exact.example", "/path/.", "GET", &[]),
    ("exact.example", "/sep/b/..", "GET", &[]),
    ("exact.example", "//path", "GET", &[]),
    ("exact.example", "//sep//a", "GET", &[]),
    ("headers.example", "/headers", "GET", &["a: 1"]),
    ("headers.example", "/headers", "GET", &["A: pre-x"]),
    ("headers.example", "/headers", "GET", &["a: the end"]),
    ("headers.example", "/headers", "GET", &["a: x-mid-y"]),
    ("headers.example", "/headers", "GET", &["a: xxx"]),
    ("headers.example", "/headers", "GET", &["a: xxy"]),
    ("headers.example", "/headers", "GET", &["a: 5"]),
    ("headers.example", "/headers", "GET", &["a: 7"]),
    ("headers.example", "/headers", "GET", &["a: 1", "a: 2", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: 2", "a: 1", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: 2", "a: 6", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: 6", "a: 6", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: q", "a: pre", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: end", "a: q", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: x-mi", "a: d-x", "d: 1"]),
    ("headers.example", "/headers", "GET", &["a: xx", "a: xx", "d: 1"]),
    ("headers.example", "/joined", "GET", &["a: 1", "a: 2"]),
    ("headers.example", "/joined", "GET", &["a: 1,2"]),
    ("headers.example", "/headers", "GET", &["c: 1", "c: 2", "d: 1"]),
    ("headers.example", "/headers", "GET", &["c: 2", "c: 1", "d: 1"]),
    ("headers.example", "/headers", "GET", &["c: 1", "c: 1", "d: 1"]),
    ("headers.example", "/headers", "GET", &["d: 1", "d: 2"]),
    ("headers.example", "/headers", "GET", &["d: 1", "d: 1"]),
    ("headers.example", "/headers", "GET", &["b:", "d: 1"]),
    ("headers.example", "/headers", "GET", &["b: x"]),
    ("headers.example", "/headers", "GET", &["c: 2"]),
    ("headers.example", "/headers", "GET", &["c: 1", "d: 1"]),
    ("headers.example", "/headers", "GET", &["d: 1"]),
    ("headers.example", "/headers", "GET", &[]),
    ("headers.example", "/method", "POST", &[]),
    ("headers.example", "/method", "GET", &[]),
    ("headers.example", "/proto", "GET", &[]),
    ("headers.example", "/proto", "GET", &["x-forwarded-proto: https"]),
    ("headers.example", "/grpc", "POST", &["content-type: application/grpc"]),
    ("headers.example", "/grpc", "POST", &["content-type: application/grpc+proto"]),
    ("headers.example", "/grpc", "POST", &["content-type: application/grpcx"]),
    ("headers.example", "/absent", "GET", &[]),
    ("headers.example", "/absent", "GET", &["b: 1"]),
    ("headers.example", "/named", "GET", &["b: 1"]),
    ("headers.example", "/named", "GET", &[]),
    ("query.example", "/query?a=1", "GET", &[]),
    ("query.example", "/query?a=2&a=1&c", "GET", &[]),
    ("query.example", "/query?b&c=1", "GET", &[]),
    ("query.example", "/query", "GET", &[]),
    ("cookie.example", "/", "GET", &["cookie: j=1; k=v"]),
    ("cookie.example", "/", "GET", &["cookie: l=v"]),
    ("a.wild.example", "/", "GET", &[]),
    ("a.b-more.wild.example", "/", "GET", &[]),
    ("front.other", "/", "GET", &[]),
    ("front.long.example", "/", "GET", &[]),
    (".wild.example", "/only", "GET", &[]),
    ("elsewhere", "/never", "GET", &[]),
];

/// A listener without an address. `cleans` makes it change requests before it routes them.
fn listener(name: &str, cleans: bool) -> Value {
    let host = |(domain, matches): (&str, Vec<Value>)| {
        let place = |at| json!([{"header": {"key": "x-route", "value": format!("{domain} routes[{at}]")}}]);
        let route =
            |(at, it)| json!({"match": it, "direct_response": {"status": 200}, "response_headers_to_add": place(at)});
        json!({"name": domain, "domains": [domain], "routes": matches.into_iter().enumerate().map(route).collect::<Vec<_>>()})
    };
    let manager = json!({
        "@type": format!("{TYPES}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        // Otherwise it waits a second for the client to close.
        "delayed_close_timeout": "0s",
        "normalize_path": cleans,
        "merge_slashes": cleans,
        "strip_any_host_port": cleans,
        "route_config": {"name": "table", "virtual_hosts": table().into_iter().map(host).collect::<Vec<_>>()},
        "http_filters": [{"name": "router", "typed_config": {"@type": format!("{TYPES}.http.router.v3.Router")}}],
    });
    json!({"name": name, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]})
}

/// What our decision is, in the words of the configuration's answers.
fn ours(store: &Store, name: &str, request: &Request) -> String {
    let answer = trace::answer(store, name, Some(request));
    match answer.routes.first() {
        Some(route) => format!("{} {}", route.host, route.route),
        None => answer.problem.filter(|why| why.contains("404")).map_or_else(String::new, |_| "404".to_owned()),
    }
}

#[test]
fn routes_are_chosen_as_envoy_chooses_them() {
    let folder = tempfile::tempdir().unwrap();
    let envoy = Envoy::start(folder.path());
    let mut wrong = Vec::new();
    for (name, cleans) in [("raw", false), ("clean", true)] {
        let mut json = listener(name, cleans);
        json["@type"] = ResourceKind::Listener.type_url().into();
        let decoded = decode(&json, "").unwrap();
        let mut store = Store::default();
        store.put(Resource::new(ResourceKind::Listener.type_url(), name, decoded.encode()));
        for (host, path, method, headers) in REQUESTS {
            let given: Vec<_> =
                [format!("Host: {host}")].into_iter().chain(headers.iter().map(|it| (*it).to_owned())).collect();
            let parsed: Vec<_> = given.iter().map(|it| it.parse().unwrap()).collect();
            let mut request = Request::new(&"http://exact.example/".parse().unwrap(), method, &parsed);
            request.path = path.to_owned();
            let theirs = envoy.ask(name, path, method, &given);
            let ours = ours(&store, name, &request);
            if ours != theirs {
                wrong.push(format!("{name}: {method} {host}{path} {headers:?}: {ours:?}, but Envoy {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A running Envoy that ends with the test.
struct Envoy {
    process: Child,
    folder: PathBuf,
}

impl Envoy {
    fn start(folder: &Path) -> Self {
        let listeners = [("raw", false), ("clean", true)].map(|(name, cleans)| {
            let mut json = listener(name, cleans);
            json["address"] = json!({"pipe": {"path": folder.join(name)}});
            json
        });
        let config = folder.join("envoy.json");
        fs::write(&config, json!({"static_resources": {"listeners": listeners}}).to_string()).unwrap();
        let mut command = Command::new(axoneme_testnet::envoy().unwrap());
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error", "--config-path"]);
        let process = command.arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, folder: folder.to_owned() }
    }

    fn connect(&self, listener: &str) -> UnixStream {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match UnixStream::connect(self.folder.join(listener)) {
                Ok(stream) => return stream,
                Err(error) if Instant::now() > end => panic!("Envoy does not listen: {error}"),
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The route that answers, otherwise the status.
    fn ask(&self, listener: &str, path: &str, method: &str, headers: &[String]) -> String {
        let mut stream = self.connect(listener);
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = headers.iter().map(|it| format!("{it}\r\n")).collect::<String>();
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        write!(stream, "{method} {path} HTTP/1.1\r\n{head}{length}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let route = answer.lines().find_map(|line| line.strip_prefix("x-route: "));
        let status = || answer.split(' ').nth(1).unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
        route.unwrap_or_else(status).to_owned()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
