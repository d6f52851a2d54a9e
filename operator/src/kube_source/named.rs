//! Objects of the API server that are read while somebody names them, and others never: Secrets that objects name,
//! ConfigMaps that classes name. Each is watched by its name.
//!
//! Costs one watch per object that is named. The pure part is `Gathering`: what the engine is told, and when.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Debug,
    pin::pin,
};

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use self::gathering::Gathering;
use super::{WATCH_SECONDS, WatchEnded};
use crate::{
    metrics,
    metrics::http::Gate,
    source::{Kind, Name, Object, SourceEvent},
};

mod gathering;

/// What the engine says of the objects of a kind that others name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Somebody names this one.
    Wanted(Name),
    /// Nobody names it any more.
    Unwanted(Name),
    /// Every object that could name one is known: what is wanted now is the first list.
    All,
}

/// How an object stands, `None` when there is none of that name.
type Seen = (Name, Option<Object>);

/// Watches what is named. `gate` opens with the first list.
pub(super) async fn run<K>(
    client: Client,
    (kind, reduce): (Kind, fn(&K) -> Object),
    mut named: mpsc::UnboundedReceiver<Named>,
    events: mpsc::Sender<SourceEvent>,
    gate: Gate,
) -> WatchEnded
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut gathering = Gathering::new(kind);
    let mut gate = Some(gate);
    let mut watches = JoinSet::new();
    let mut handles = BTreeMap::new();
    let (seen, mut news) = mpsc::channel(1);
    loop {
        let event = tokio::select! {
            told = named.recv() => match told {
                Some(Named::Wanted(name)) => {
                    if let Entry::Vacant(free) = handles.entry(name.clone()) {
                        free.insert(watches.spawn(watch(client.clone(), (kind, reduce), name.clone(), seen.clone())));
                    }
                    gathering.want(name);
                    None
                }
                Some(Named::Unwanted(name)) => {
                    if let Some(watch) = handles.remove(&name) {
                        watch.abort();
                    }
                    gathering.drop(&name)
                }
                Some(Named::All) => gathering.all_named(),
                None => return WatchEnded::Engine,
            },
            Some((name, object)) = news.recv() => gathering.see(&name, object),
            // Those that were aborted; a watch does not end by itself.
            Some(ended) = watches.join_next() => match ended {
                Err(error) if error.is_cancelled() => None,
                _ => return WatchEnded::Watch,
            },
        };
        let Some(event) = event else { continue };
        if let SourceEvent::Reset { .. } = event
            && let Some(gate) = gate.take()
        {
            gate.open();
        }
        if events.send(event).await.is_err() {
            return WatchEnded::Engine;
        }
    }
}

/// Tells how one object stands, first of all and after every change.
async fn watch<K>(client: Client, (kind, reduce): (Kind, fn(&K) -> Object), name: Name, seen: mpsc::Sender<Seen>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<K>::namespaced(client, &name.namespace);
    let only = Config::default().timeout(WATCH_SECONDS).fields(&format!("metadata.name={}", name.name));
    let mut changes = pin!(watcher(api, only).default_backoff());
    let mut listed = None;
    while let Some(change) = changes.next().await {
        let stands = match change {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(reduce(&object));
                continue;
            }
            Ok(Event::InitDone) => listed.take(),
            Ok(Event::Apply(object)) => Some(reduce(&object)),
            Ok(Event::Delete(_)) => None,
            Err(error) => {
                ::metrics::counter!(metrics::WATCH_FAILURES, "kind" => kind.as_str()).increment(1);
                tracing::warn!(%kind, %name, %error, "watch failed; what is known stays in force");
                continue;
            }
        };
        if seen.send((name.clone(), stands)).await.is_err() {
            return;
        }
    }
}
