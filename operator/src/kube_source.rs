//! The Kubernetes API server as a source: one watch per kind, each failing and recovering for itself. Of Secrets and
//! ConfigMaps, one watch per object that is named ([`named`]).
//!
//! Nothing is stored here. Objects are reduced as they are decoded, so that what is not needed (managed fields, status of
//! nodes, images) is gone before the next one comes.

use std::{fmt::Debug, pin::pin};

use axoneme_api::cec::{CiliumClusterwideEnvoyConfig, CiliumEnvoyConfig};
use futures::StreamExt as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::IngressClass,
    },
};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Config, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use self::{guard::Guard, ingress::IngressView, node::NodeView, relay::Relay};
use crate::{
    metrics::http::Readiness,
    source::{Kind, Object, ObjectKey, SourceEvent, Unreadable},
    supervise::Supervisor,
};

mod guard;
mod ingress;
pub mod loaders;
pub mod named;
mod node;
mod relay;

/// Seconds until a watch is opened anew. Load balancers in front of API servers forget idle connections after 240 s and
/// say nothing.
const WATCH_SECONDS: u32 = 200;

/// What [`spawn`] is wired to.
#[derive(Debug)]
pub struct Wiring {
    /// Where objects go.
    pub events: mpsc::Sender<SourceEvent>,
    /// Which Secrets to watch.
    pub secrets: mpsc::UnboundedReceiver<named::Named>,
    /// Which ConfigMaps to watch.
    pub config_maps: mpsc::UnboundedReceiver<named::Named>,
    /// Which nodes should serve.
    pub expected: watch::Sender<loaders::Expected>,
}

/// Starts a watch for every kind. Readiness waits for the first list of each. `namespace` is the operator's own.
pub fn spawn(client: &Client, namespace: &str, wiring: Wiring, readiness: &Readiness, tasks: &mut Supervisor) {
    let Wiring { events, secrets, config_maps, expected } = wiring;
    let all = Config::default().timeout(WATCH_SECONDS);
    let mut watches = Watches { client, events: &events, readiness, tasks };
    watches.spawn(Kind::IngressClass, all.clone(), |it: &IngressClass| Object::IngressClass(it.into()));
    watches.spawn(Kind::Ingress, all.clone(), |it: &IngressView| Object::PackedIngress(it.packed.clone()));
    watches.spawn(Kind::CiliumEnvoyConfig, all.clone(), |it: &CiliumEnvoyConfig| Object::EnvoyConfig(it.into()));
    watches.spawn(Kind::CiliumClusterwideEnvoyConfig, all.clone(), |it: &CiliumClusterwideEnvoyConfig| {
        Object::EnvoyConfig(it.into())
    });
    watches.spawn(Kind::Service, all.clone(), |it: &Service| Object::Service(it.into()));
    // A slice that belongs to no Service is nobody's backend.
    let slices = all.clone().labels("kubernetes.io/service-name");
    watches.spawn(Kind::EndpointSlice, slices, |it: &EndpointSlice| Object::EndpointSlice(it.into()));
    watches.spawn(Kind::Node, all, |it: &NodeView| Object::Node(it.into()));
    watches.spawn_named(Kind::Secret, secrets, |it: &Secret| Object::Secret(it.into()));
    watches.spawn_named(Kind::ConfigMap, config_maps, |it: &ConfigMap| Object::ConfigMap(it.into()));
    tasks.spawn("loaders", {
        let (client, namespace, shutdown) = (client.clone(), namespace.to_owned(), tasks.shutdown());
        async move {
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                ended = loaders::run(client, &namespace, expected) => Err(ended),
            }
        }
    });
}

struct Watches<'a> {
    client: &'a Client,
    events: &'a mpsc::Sender<SourceEvent>,
    readiness: &'a Readiness,
    tasks: &'a mut Supervisor,
}

impl Watches<'_> {
    fn spawn<K>(&mut self, kind: Kind, config: Config, reduce: fn(&K) -> Object)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let api = Api::<Guard<K>>::all(self.client.clone());
        let relay = Relay::new(kind, self.readiness.gate(kind.as_str()));
        let (events, shutdown) = (self.events.clone(), self.tasks.shutdown());
        self.tasks.spawn(kind.as_str(), async move {
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                ended = watch(api, config, reduce, relay, events) => Err(ended),
            }
        });
    }

    /// Only those that are named.
    fn spawn_named<K>(&mut self, kind: Kind, named: mpsc::UnboundedReceiver<named::Named>, reduce: fn(&K) -> Object)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let gate = self.readiness.gate(kind.as_str());
        let (client, events, shutdown) = (self.client.clone(), self.events.clone(), self.tasks.shutdown());
        self.tasks.spawn(kind.as_str(), async move {
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                ended = named::run(client, (kind, reduce), named, events, gate) => Err(ended),
            }
        });
    }
}

/// A watch ended, though watches start anew for ever.
#[derive(Debug, thiserror::Error)]
pub enum WatchEnded {
    /// The watch itself.
    #[error("the watch ended")]
    Watch,
    /// The engine's end of the channel.
    #[error("the engine is gone")]
    Engine,
}

async fn watch<K>(
    api: Api<Guard<K>>,
    config: Config,
    reduce: fn(&K) -> Object,
    mut relay: Relay,
    events: mpsc::Sender<SourceEvent>,
) -> WatchEnded
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut changes = pin!(watcher(api, config).default_backoff());
    while let Some(change) = changes.next().await {
        let told = match change {
            Ok(change) => relay.on_event(decode(change, relay.kind(), reduce)),
            Err(error) => relay.on_error(&error),
        };
        if let Some(event) = told
            && events.send(event).await.is_err()
        {
            return WatchEnded::Engine;
        }
    }
    WatchEnded::Watch
}

/// An object in its reduced form, or which one could not be decoded and why.
pub(crate) type Decoded = Result<Object, Unreadable>;

fn decode<K: Resource>(
    event: watcher::Event<Guard<K>>,
    kind: Kind,
    reduce: fn(&K) -> Object,
) -> watcher::Event<Decoded> {
    let decode = |guard: Guard<K>| match guard.0 {
        Ok(object) => Ok(reduce(&object)),
        Err(invalid) => {
            let namespace = invalid.metadata.namespace.unwrap_or_default();
            let key = ObjectKey::new(kind, &namespace, &invalid.metadata.name.unwrap_or_default());
            Err(Unreadable { key, uid: invalid.metadata.uid, why: invalid.why })
        }
    };
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(decode(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(decode(object)),
        watcher::Event::InitApply(object) => watcher::Event::InitApply(decode(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}
