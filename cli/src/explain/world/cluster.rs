//! A cluster, read once: every object that the mesh reads, in the operator's reduced form. Needs to read, and nothing else.

use std::{fmt::Debug, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use axoneme_api::cec::{CiliumClusterwideEnvoyConfig, CiliumEnvoyConfig};
use axoneme_envoy::Policy;
use axoneme_operator::{Engine, Kind, Name, Object, ObjectKey, SourceEvent, file_source::Folder, source::Unreadable};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{self as core, ConfigMap, Pod, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass},
    },
};
use kube::{
    Api, Client, Config, Resource,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::{DeserializeGuard, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

use super::{Client as Asker, World};

mod operator;

/// Objects of one answer of the API server.
const PAGE: u32 = 500;
const NO_CLUSTER: &str = "cannot find the cluster; name manifests to look at files";

/// Which cluster.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Access {
    /// The file that says how to reach the cluster; otherwise as kubectl finds it.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// One of its contexts; otherwise its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Reads the cluster, as its operator's flags say to. A policy that is given holds in place of the operator's own. Costs a list of
/// each kind, and a read of each Secret that an object names.
pub(crate) async fn read(
    access: &Access,
    policy: Option<Policy>,
    asker: Asker,
    namespace: Option<String>,
) -> Result<World> {
    let config = access.config().await.context(NO_CLUSTER)?;
    let own_namespace = config.default_namespace.clone();
    let client = Client::try_from(config).context("cannot reach the cluster")?;
    let (flags, note) = operator::settings(&client).await;
    let engine = Engine::under(policy.unwrap_or(flags.policy)).with_defaults(flags.ingress);
    let mut world = World {
        engine,
        folder: Folder::default(),
        node: String::new(),
        namespace: namespace.unwrap_or(own_namespace),
        notes: note.into_iter().collect(),
        node_note: None,
    };
    lists(&client, &mut world).await?;
    world.node = node_of(&client, &world, asker).await?;
    Ok(world)
}

impl Access {
    /// Whether a cluster was named.
    pub(crate) fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Result<Client> {
        Client::try_from(self.config().await.context(NO_CLUSTER)?).context("cannot reach the cluster")
    }

    async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Ok(match (&self.kubeconfig, &self.context) {
            (Some(file), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await?,
        })
    }
}

async fn lists(client: &Client, world: &mut World) -> Result<()> {
    let all = ListParams::default();
    let nodes = list(client, Kind::Node, &all, |it: &PartialObjectMeta<core::Node>| {
        Object::Node((&core::Node { metadata: it.metadata.clone(), ..core::Node::default() }).into())
    });
    let classes = list(client, Kind::IngressClass, &all, |it: &IngressClass| Object::IngressClass(it.into()));
    let services = list(client, Kind::Service, &all, |it: &Service| Object::Service(it.into()));
    // A slice that belongs to no Service is nobody's backend.
    let owned = ListParams::default().labels("kubernetes.io/service-name");
    let slices = list(client, Kind::EndpointSlice, &owned, |it: &EndpointSlice| Object::EndpointSlice(it.into()));
    let ingresses = list(client, Kind::Ingress, &all, |it: &Ingress| Object::Ingress(it.into()));
    let configs = list(client, Kind::CiliumEnvoyConfig, &all, |it: &CiliumEnvoyConfig| Object::EnvoyConfig(it.into()));
    let clusterwide = list(client, Kind::CiliumClusterwideEnvoyConfig, &all, |it: &CiliumClusterwideEnvoyConfig| {
        Object::EnvoyConfig(it.into())
    });
    let (nodes, classes, services, slices, ingresses, configs, clusterwide) =
        tokio::try_join!(nodes, classes, services, slices, ingresses, configs, clusterwide)?;
    let (mut secrets, mut maps) = (Vec::new(), Vec::new());
    for event in [nodes, classes, services, slices, ingresses, configs, clusterwide] {
        let changes = world.engine.apply(event);
        secrets.extend(changes.secrets.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name));
        maps.extend(changes.config_maps.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name));
    }
    for name in maps {
        named(client, Kind::ConfigMap, name, world, |it: &ConfigMap| Object::ConfigMap(it.into())).await?;
    }
    for name in secrets {
        named(client, Kind::Secret, name, world, |it: &Secret| Object::Secret(it.into())).await?;
    }
    Ok(())
}

/// Every object of a kind, page by page. A kind that is not installed has none.
async fn list<K>(client: &Client, kind: Kind, params: &ListParams, reduce: fn(&K) -> Object) -> Result<SourceEvent>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    DeserializeGuard<K>: Resource<DynamicType = ()>,
{
    let api = Api::<DeserializeGuard<K>>::all(client.clone());
    let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
    let mut params = params.clone().limit(PAGE);
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            Err(kube::Error::Api(status)) if status.code == 404 => break,
            Err(error) => return Err(plain(error)).with_context(|| format!("cannot list objects of kind {kind}")),
        };
        for guard in page.items {
            match guard.0 {
                Ok(object) => objects.push(reduce(&object)),
                Err(invalid) => {
                    let namespace = invalid.metadata.namespace.unwrap_or_default();
                    let key = ObjectKey::new(kind, &namespace, &invalid.metadata.name.unwrap_or_default());
                    unreadable.push(Unreadable { key, uid: invalid.metadata.uid, why: invalid.error });
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    Ok(SourceEvent::Reset { kind, objects, unreadable })
}

/// The API server's own sentence, without the object that carries it.
pub(crate) fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::Error::msg(status.message),
        other => other.into(),
    }
}

/// What an object names. Who may not read it is told so, and gets the rest of the answer.
async fn named<K>(client: &Client, kind: Kind, name: Name, world: &mut World, reduce: fn(&K) -> Object) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let event = match Api::<K>::namespaced(client.clone(), &name.namespace).get_opt(&name.name).await {
        Ok(Some(object)) => SourceEvent::Apply(reduce(&object)),
        Ok(None) => SourceEvent::Delete(ObjectKey { kind, name }),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            world.notes.push(format!("you may not read {kind} {name}, so it is taken for missing here"));
            return Ok(());
        }
        Err(error) => return Err(plain(error)).with_context(|| format!("cannot read {kind} {name}")),
    };
    world.engine.apply(event);
    Ok(())
}

async fn node_of(client: &Client, world: &World, asker: Asker) -> Result<String> {
    let nodes = world.engine.index().keys(Kind::Node);
    let names = || nodes.iter().map(|key| key.name.name.to_string());
    let node = match asker {
        Asker::Anywhere => names().next().context("the cluster has no node")?,
        Asker::Node(node) => node,
        Asker::Pod { namespace, name } => {
            let pod = Api::<Pod>::namespaced(client.clone(), &namespace).get_opt(&name).await;
            let pod = pod.map_err(plain).with_context(|| format!("cannot read Pod {namespace}/{name}"))?;
            let pod = pod.with_context(|| format!("there is no Pod {namespace}/{name}"))?;
            let node = pod.spec.and_then(|spec| spec.node_name);
            node.with_context(|| format!("Pod {namespace}/{name} is on no node yet"))?
        }
    };
    if !names().any(|name| name == node) {
        bail!("there is no node {node:?}, only {}", names().collect::<Vec<_>>().join(", "));
    }
    Ok(node)
}
