//! The operator in a cluster: which tasks there are and how they are joined.
//!
//! ```text
//! watches -> driver (engine in the hub) -> streams to nodes
//!               |-> writer, Events   (only while the lease is held)
//! ```

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axoneme_envoy::Policy;
use axoneme_xds::grpc::Hub;
use kube::Client;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use self::cluster::Cluster;
use crate::{
    Engine,
    auth::Reviewer,
    ca::{self, Leaf},
    kube_source, lease,
    metrics::{self, http::Readiness},
    model::IngressDefaults,
    serve::{self, Admission, Nodes},
    supervise::{Supervisor, TaskEnded},
    webhook, write,
};

mod cluster;
pub mod driver;
mod rest;

pub use rest::Rest;

/// Source events that may wait for the engine; beyond it the watches wait.
const EVENTS: usize = 256;
/// How long tasks may take to end. Less than the 30 s that Kubernetes gives.
const GRACE: Duration = Duration::from_secs(10);

/// What a replica has to know of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of the operator, its Secret, ConfigMap, Lease and of the nodes' ServiceAccount.
    pub namespace: String,
    /// Name of this replica, unique in the cluster: the pod's name.
    pub identity: String,
    /// Name of the Service under which nodes dial the operator.
    pub service: String,
    /// Where nodes fetch their intents, gRPC with TLS.
    pub intents: SocketAddr,
    /// Where the validating webhook is served, HTTPS; `None` for nowhere.
    pub webhook: Option<SocketAddr>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served, plain HTTP.
    pub metrics: SocketAddr,
    /// What Envoy configs may make Envoy do.
    pub policy: Policy,
    /// What holds of Ingresses that do not say otherwise.
    pub ingress: IngressDefaults,
    /// How long a node may be away before statuses say so.
    pub node_grace: Duration,
}

/// Why the operator stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address is taken or wrong.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process has a metrics recorder already.
    #[error("setting up metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The certificate authority is not to be had.
    #[error("certificate authority: {0}")]
    Authority(#[from] ca::StoreError),
    /// A certificate could not be made.
    #[error("server certificate: {0}")]
    Certificate(#[from] ca::CaError),
    /// The intents server broke.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    /// A task ended that must not.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// Runs a replica until `shutdown`. Whom nodes and the API server ask has the threads of `servers`, so that nobody's handshake
/// holds up an edit. The caller's thread takes `rest` before it waits.
///
/// # Errors
/// [`RunError`] says what could not be set up, or which task ended.
pub async fn run(
    client: Client,
    options: Options,
    servers: &Handle,
    rest: &Rest,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let recorder = metrics::install()?;
    let http = bind(options.metrics).await?;
    let mut tasks = Supervisor::new(shutdown.clone());
    let hub = Hub::new(Engine::under(options.policy.clone()).with_defaults(options.ingress.clone()).for_nodes());

    let readiness = Readiness::default();
    kube_source_and_driver(&client, &options, &hub, (servers, rest), &readiness, &mut tasks).await?;
    let gather = {
        let hub = hub.clone();
        move || hub.read(metrics::gather)
    };
    tasks.spawn_on(servers, "metrics", metrics::http::serve(http, recorder, readiness, gather, shutdown));
    tracing::info!(
        intents = %options.intents, metrics = %options.metrics, namespace = options.namespace,
        identity = options.identity, "operator started"
    );
    tasks.run(GRACE).await?;
    tracing::info!("operator stopped");
    Ok(())
}

async fn kube_source_and_driver(
    client: &Client,
    options: &Options,
    hub: &Hub<Engine>,
    (servers, rest): (&Handle, &Rest),
    readiness: &Readiness,
    tasks: &mut Supervisor,
) -> Result<(), RunError> {
    let shutdown = tasks.shutdown();
    let authority = ca::publish_authority(client, &options.namespace).await?;
    let trusted = authority.certificate_pem().to_owned();
    let leaf = Arc::new(Leaf::new(authority, Leaf::service_names(&options.service, &options.namespace))?);

    let (leading, leads) = watch::channel(false);
    let (writes, commands) = mpsc::unbounded_channel();
    let (news, notes) = mpsc::channel(write::events::WAITING);
    let (events, told) = mpsc::channel(EVENTS);
    let (streams, answers) = mpsc::unbounded_channel();
    let (synced, ready) = watch::channel(false);

    let (secrets, named_secrets) = mpsc::unbounded_channel();
    let (config_maps, named_config_maps) = mpsc::unbounded_channel();
    let (expected, loaders) = watch::channel(None);
    let (retell, again) = mpsc::unbounded_channel();
    let world = Cluster::new(writes, news.clone(), secrets, config_maps, rest.clone(), options.node_grace);
    let source = kube_source::Wiring { events, secrets: named_secrets, config_maps: named_config_maps, expected };
    kube_source::spawn(client, &options.namespace, source, readiness, tasks);
    if let Some(address) = options.webhook {
        let listener = bind(address).await?;
        let serve = webhook::serve(listener, Arc::clone(&leaf), hub.clone(), shutdown.clone());
        tasks.spawn_on(servers, "webhook", serve);
    }
    tasks.spawn("lease", {
        let (client, options, shutdown) = (client.clone(), options.clone(), shutdown.clone());
        async move { lease::run(client, &options.namespace, &options.identity, &leading, &shutdown).await }
    });
    let writer = write::Wiring { commands, leading: leads.clone(), news, retell };
    tasks.spawn("writer", write::run(client.clone(), writer, shutdown.clone()));
    tasks.spawn("events", {
        let (client, identity) = (client.clone(), options.identity.clone());
        write::events::run(client, identity, notes, shutdown.clone())
    });
    let inputs = driver::Inputs { events: told, streams: answers, leading: leads.clone(), expected: loaders, again };
    if options.webhook.is_some() {
        let wiring = webhook::trust::Wiring { authority: trusted, classes: world.classes(), leading: leads.clone() };
        let gate = readiness.gate("webhook trust");
        tasks.spawn("webhook trust", webhook::trust::run(client.clone(), wiring, gate, shutdown.clone()));
    }
    tasks.spawn("engine", driver::run(hub.clone(), inputs, world, synced, shutdown.clone()));
    tasks.spawn("rest", rest.clone().follow(ready.clone(), leads.clone(), shutdown.clone()));
    let nodes = Nodes::new(Admission::Tokens(Box::new(Reviewer::new(client.clone(), &options.namespace))), streams);
    let gate = readiness.gate("engine");
    tasks.spawn_on(servers, "intents", {
        let (hub, address) = (hub.clone(), options.intents);
        async move {
            // A node that asked too early would be told to drop what is merely not known yet.
            if !driver::until_true(ready, &shutdown).await {
                return Ok(());
            }
            gate.open();
            // Nodes report to whom they are connected, and only the holder of the lease can write what they report. A replica
            // that stands by refuses connections, so a node's next attempt finds another one.
            if driver::until_true(leads, &shutdown).await {
                let listener = bind(address).await?;
                serve::serve(listener, leaf, hub, nodes, shutdown).await?;
            }
            Ok::<_, RunError>(())
        }
    });
    Ok(())
}

/// Binds a port before anything starts, so that a wrong address is known at once.
async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    let bound = match TcpListener::bind(address).await {
        // `[::]` means all addresses, also on a machine without IPv6.
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|source| RunError::Listen { address, source })
}
