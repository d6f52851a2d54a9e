//! The loader's process, inside of the node: the loader, and an operator that does as it is told by lines.

use std::{
    env,
    io::stdin,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axoneme_api::intent::{Frontend, REDIRECT, Redirect};
use axoneme_node::{Config, EnvoyBinary, Operator};
use axoneme_xds::{
    Change, Outcome, Policy, Resource, Store,
    grpc::{AdsServer, Caller, Event, Host, Hub, in_memory, server_builder},
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    loader::{ALONE, ANSWER, RUN_DIR},
    resources::{ROUTER, listener, routes},
};

/// What hangs, hangs longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells what the node says of intents.
struct Ear(mpsc::UnboundedSender<Outcome>);

impl Host for Ear {
    async fn authorize(&self, caller: Caller) -> Result<Arc<str>, tonic::Status> {
        Ok(caller.node.id.into())
    }

    fn observe(&self, event: Event) {
        if let Event::Outcome { outcome, .. } = event {
            drop(self.0.send(outcome));
        }
    }
}

struct Intents {
    hub: Hub<Store>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

/// The address of a redirect: one of each family has its place in a plan that is large enough.
pub(crate) fn frontend(number: usize) -> SocketAddr {
    let (service, last) = (number / 2, number / 2 % 250 + 1);
    let text = match (number, number % 2) {
        (0, _) => "10.232.0.10:80".to_owned(),
        (_, 0) => format!("10.232.{}.{last}:80", 1 + service / 250),
        _ => format!("[fd00:232::{:x}:{last:x}]:80", 1 + service / 250),
    };
    text.parse().unwrap_or_else(|_| SocketAddr::from(([10, 232, 0, 9], 80)))
}

/// Version `edit` of the redirect of a Service, with an address of each family.
fn redirect(service: usize, edit: usize) -> Resource {
    let spec = Redirect {
        frontends: vec![Frontend::new(frontend(service * 2)), Frontend::new(frontend(service * 2 + 1))],
        listener: "listener".to_owned(),
        owner: format!("CiliumEnvoyConfig bench/config-{service:05}-{edit}"),
        has_backends: edit.is_multiple_of(2),
        ..Redirect::default()
    };
    Resource::new(REDIRECT, format!("bench/service-{service:05}:80"), spec.encode_to_vec())
}

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (said, outcomes) = mpsc::unbounded_channel();
        let hub = Hub::new(Store::default());
        let service = AdsServer::new(hub.clone(), Policy::intents(), Arc::new(Ear(said)));
        let (channel, incoming) = in_memory();
        let alone = env::var_os(ALONE).is_some();
        if !alone {
            tokio::spawn(server_builder().add_service(service).serve_with_incoming(incoming));
        }
        let mut config = Config::new("node1");
        config.run_dir = env::var_os(RUN_DIR).map(PathBuf::from).context("no folder")?;
        config.envoy = Some(EnvoyBinary { path: axoneme_testnet::envoy()?, concurrency: 1 });
        config.cleanup_on_exit = true;
        let shutdown = CancellationToken::new();
        let node = tokio::spawn(axoneme_node::run(config, Operator::Channel(channel), shutdown.clone(), None));
        let orders = obey(Intents { hub, outcomes });
        tokio::select! {
            done = orders, if !alone => done?,
            () = nothing(), if alone => {}
            ended = node => bail!("the node ended: {ended:?}"),
        }
        Ok(())
    })
}

/// Until it is killed.
async fn nothing() {
    println!("{ANSWER}ready");
    std::future::pending().await
}

async fn obey(mut intents: Intents) -> Result<()> {
    let (orders, mut received) = mpsc::unbounded_channel();
    std::thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));
    intents.put([listener("listener", "routes", ROUTER), routes("routes", "bench")]).await?;
    println!("{ANSWER}ready");
    let (mut there, mut edits) = (0, 0);
    while let Some(order) = received.recv().await {
        let (word, number) = order.split_once(' ').context("an order and a number")?;
        let number: usize = number.parse()?;
        match word {
            "fill" => {
                let start = Instant::now();
                intents.put((there..number / 2).map(|service| redirect(service, 0))).await?;
                there = number / 2;
                println!("{ANSWER}{}", start.elapsed().as_micros());
            }
            _ => {
                edits += 1;
                // Each time another one, near and far.
                let changed = redirect(1 + (number * 7919) % (there - 1), edits);
                let start = Instant::now();
                intents.put([changed]).await?;
                println!("{ANSWER}{}", start.elapsed().as_micros());
            }
        }
    }
    Ok(())
}

impl Intents {
    /// Waits until all of them are in force.
    async fn put(&mut self, resources: impl IntoIterator<Item = Resource>) -> Result<()> {
        let resources: Vec<Resource> = resources.into_iter().collect();
        let mut waiting: std::collections::HashSet<_> =
            resources.iter().map(|it| (it.key(), it.version.clone())).collect();
        self.hub.update(|store| store.apply(resources.into_iter().map(|it| (it.key(), Change::Put(it)))));
        let heard = async {
            while !waiting.is_empty() {
                match self.outcomes.recv().await.context("no node")? {
                    Outcome::Acked { type_url, name, version: Some(version) } => {
                        waiting.remove(&((type_url, name), version));
                    }
                    Outcome::Nacked { name, message, .. } => bail!("{name}: {message}"),
                    _ => {}
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, heard).await.context("not all are in force")?
    }
}
