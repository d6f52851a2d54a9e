//! The real Envoy under our assignments: every backend is one host and gets the same share, wherever it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use axoneme_envoy::{EnvoyResource, ResourceKind, bootstrap::Bootstrap, endpoints};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::envoy::binary;

/// Longer than a first start from a cold disk takes.
const SOON: Duration = Duration::from_secs(30);

/// Answers every connection with its name, until the test ends.
fn backend(ip: impl Into<std::net::IpAddr>, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((ip.into(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, name));
        }
    });
    address
}

fn answer(mut stream: TcpStream, name: &str) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|length| length > 0) {
        let sent = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        if sent.is_err() {
            return;
        }
    }
}

/// An address that refuses: nobody serves TCPMUX.
fn refusing() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

/// An Envoy with one cluster that reads its assignment by EDS, from a file.
struct Proxy {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Proxy {
    fn start(binary: PathBuf, backends: &BTreeSet<endpoints::Backend>, balancing: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bytes = endpoints::assignment("c", backends);
        let assignment = EnvoyResource::from_bytes(ResourceKind::Endpoints, &bytes).unwrap().to_json().unwrap();
        let response = json!({"version_info": "1", "resources": [assignment]});
        std::fs::write(path("eds.json"), response.to_string()).unwrap();
        let bootstrap = bootstrap(&path("eds.json"), &path("admin.sock"), balancing);
        std::fs::write(path("bootstrap.json"), bootstrap.to_string()).unwrap();
        let mut command = Command::new(binary);
        // One worker: with more, each would go round by itself.
        command.args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c"]).arg(path("bootstrap.json"));
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        let mut proxy = Self { process, folder, address: refusing() };
        proxy.address = wait(|| proxy.listener());
        proxy
    }

    fn admin(&self, path: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.folder.path().join("admin.sock")).ok()?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Where it listens: `l::127.0.0.1:40000` in the list of the admin interface.
    fn listener(&self) -> Option<SocketAddr> {
        let text = self.admin("/listeners")?;
        text.lines().find_map(|line| line.strip_prefix("l::")).and_then(|address| address.parse().ok())
    }

    /// Who answers how many of `count` requests.
    fn shares(&self, count: usize) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..count {
            *shares.entry(self.ask()).or_default() += 1;
        }
        shares
    }

    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.rsplit("\r\n").next().unwrap_or_default().to_owned()
    }

    /// The hosts of the cluster, as the admin interface lists them.
    fn hosts(&self) -> usize {
        self.admin("/clusters").unwrap().lines().filter(|line| line.contains("::health_flags::")).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wait<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = ready() {
            return done;
        }
        assert!(start.elapsed() < SOON, "Envoy does not come up");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The node's own bootstrap, with a cluster and a listener of which everything goes there.
fn bootstrap(eds: &std::path::Path, admin: &std::path::Path, balancing: &Value) -> Value {
    let mut bootstrap = Bootstrap::new("node", std::path::Path::new("/nowhere/xds.sock"), admin).to_json();
    // No xDS server is asked, and marks need a privilege.
    bootstrap.as_object_mut().unwrap().retain(|key, _| !["dynamic_resources", "cluster_manager"].contains(&&**key));
    let filters = "type.googleapis.com/envoy.extensions.filters";
    let routes = json!({"virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]},
    ]});
    let manager = json!({
        "@type": format!("{filters}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "s",
        "route_config": routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": format!("{filters}.http.router.v3.Router")}}],
    });
    bootstrap["static_resources"] = json!({
        "clusters": [{
            "name": "c",
            "type": "EDS",
            "connect_timeout": "20s",
            "common_lb_config": balancing,
            "eds_cluster_config": {
                "eds_config": {"path_config_source": {"path": eds}, "resource_api_version": "V3"},
            },
        }],
        "listeners": [{
            "name": "l",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
        }],
    });
    bootstrap
}

fn at(zone: &str, address: SocketAddr, more: &[SocketAddr]) -> endpoints::Backend {
    endpoints::Backend { zone: zone.into(), address, more: more.to_vec(), node: "node".into() }
}

#[test]
fn every_backend_is_one_host_with_the_same_share() {
    let envoy = binary();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| backend(Ipv4Addr::LOCALHOST, name));
    let six = backend(Ipv6Addr::LOCALHOST, "six");
    // Two zones of unlike size, one that is not known, and there a backend that only its second address reaches.
    let backends = [at("z1", a, &[]), at("z2", b, &[]), at("z2", c, &[]), at("z2", d, &[]), at("", refusing(), &[six])];
    let expected: BTreeMap<_, _> = ["a", "b", "c", "d", "six"].map(|name| (name.to_owned(), 20)).into();
    for balancing in [json!({}), json!({"locality_weighted_lb_config": {}})] {
        let proxy = Proxy::start(envoy.clone(), &BTreeSet::from(backends.clone()), &balancing);
        assert_eq!(proxy.hosts(), backends.len());
        assert_eq!(proxy.shares(100), expected, "{balancing}");
    }
}
