//! What a node is told at its start.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tonic::transport::{Channel, Uri};

use crate::{kernel, ports::PortRange, seat::Seat};

/// The settings of one node. Two nodes on one machine need their own `run_dir`, `kernel.pin_dir` and network namespace.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name; the operator knows it as a Kubernetes Node, or as whatever `axonctl up` calls it.
    pub node_name: String,
    /// Folder for sockets and state. It holds private keys, so it should not outlive a boot. Made when missing.
    pub run_dir: PathBuf,
    /// Proxy ports to choose from.
    pub ports: PortRange,
    /// What becomes of new connections to Services with backends while the proxy is away.
    pub on_proxy_failure: OnProxyFailure,
    /// How long connections may stay at the proxy after their redirect is gone.
    pub drain_timeout: Duration,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics_address: Option<SocketAddr>,
    /// Start this Envoy and look after it. Without it, somebody else runs Envoy on the bootstrap of
    /// [`Config::bootstrap`].
    pub envoy: Option<EnvoyBinary>,
    /// Whether Envoy may load the module that finds the routes of a host by hash.
    pub envoy_module: UseModule,
    /// Folder for what is in force, if it is to outlive what happens to `run_dir`: then a node that reboots while the operator is
    /// away serves what it served. It holds private keys. `None` is `run_dir`.
    pub state_dir: Option<PathBuf>,
    /// Wait while another loader is at work here, to take over when it ends.
    pub waits_for_place: bool,
    /// Undo everything in the kernel at the end, and forget all state. Otherwise traffic flows on without the loader.
    pub cleanup_on_exit: bool,
    /// The kernel's side.
    pub kernel: kernel::Config,
}

/// See [`Config::on_proxy_failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnProxyFailure {
    /// They go to a backend as if there were no proxy, and are counted.
    Bypass,
    /// They are refused at once.
    Refuse,
}

/// See [`Config::envoy_module`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum UseModule {
    /// If it is of the version that the module is made for.
    Auto,
    /// No: shared Ingresses are served by whole tables.
    Off,
}

/// The Envoy to start.
#[derive(Debug, Clone)]
pub struct EnvoyBinary {
    /// The program.
    pub path: PathBuf,
    /// Worker threads.
    pub concurrency: u16,
}

/// How the operator is reached.
#[derive(Debug, Clone)]
pub enum Operator {
    /// Over the network.
    Endpoint(Endpoint),
    /// Over a channel that is there already, such as [`axoneme_xds::grpc::in_memory`].
    Channel(Channel),
}

/// The operator's address, and how the two sides trust each other. Both files are read again at every connect.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https://HOST:PORT`; the certificate must name the host.
    pub address: Uri,
    /// Certificates of authorities to trust, PEM.
    pub ca_file: PathBuf,
    /// The node's bearer token.
    pub token_file: Option<PathBuf>,
}

impl Config {
    /// A node with the usual settings.
    #[must_use]
    pub fn new(node_name: impl Into<String>) -> Self {
        Self {
            node_name: node_name.into(),
            run_dir: PathBuf::from("/run/axoneme"),
            ports: PortRange::DEFAULT,
            on_proxy_failure: OnProxyFailure::Bypass,
            drain_timeout: Duration::from_secs(30),
            metrics_address: None,
            envoy: None,
            envoy_module: UseModule::Auto,
            state_dir: None,
            waits_for_place: false,
            cleanup_on_exit: false,
            kernel: kernel::Config::default(),
        }
    }

    /// Unix socket of the xDS server, for Envoy.
    #[must_use]
    pub fn xds_socket(&self) -> PathBuf {
        self.run_dir.join("xds.sock")
    }

    /// Unix socket of the admin interface of a seat's Envoy.
    #[must_use]
    pub fn admin_socket(&self, seat: Seat) -> PathBuf {
        self.run_dir.join(seat.file("admin", "sock"))
    }

    /// Unix socket that answers `GET /status`.
    #[must_use]
    pub fn status_socket(&self) -> PathBuf {
        status_socket(&self.run_dir)
    }

    /// Folder of the last applied set.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.as_ref().unwrap_or(&self.run_dir).join("state")
    }

    /// Folder of what Envoy is not known to live with.
    #[must_use]
    pub fn suspects_dir(&self) -> PathBuf {
        self.state_dir.as_ref().unwrap_or(&self.run_dir).join("suspects")
    }

    /// Folder of the module for Envoy, which must look there: [`crate::envoy_module::SEARCH_PATH`].
    #[must_use]
    pub fn modules_dir(&self) -> PathBuf {
        self.run_dir.join("modules")
    }

    /// Where the bootstrap of an Envoy of ours is written.
    #[must_use]
    pub fn bootstrap_file(&self, seat: Seat) -> PathBuf {
        self.run_dir.join(seat.file("envoy", "json"))
    }

    /// The bootstrap of a seat's Envoy, JSON. For `started` see [`Seat::node_id`].
    #[must_use]
    pub fn bootstrap(&self, seat: Seat, started: Option<Duration>) -> String {
        let (node, xds, admin) = (seat.node_id(&self.node_name, started), self.xds_socket(), self.admin_socket(seat));
        let bootstrap = axoneme_envoy::bootstrap::Bootstrap::new(&node, &xds, &admin);
        format!("{:#}\n", bootstrap.to_json())
    }
}

/// Where a node with that `run_dir` answers `GET /status`.
#[must_use]
pub fn status_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("status.sock")
}
