//! Which nodes should serve: those that Kubernetes gave a pod of the node-loader's DaemonSet, whether or not it runs.
//!
//! So selectors, taints and tolerations are judged by who judges them anyway. Costs one watch of those pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
};

use axoneme_api::names;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Event, watcher},
    },
};
use tokio::sync::watch;

use super::{WATCH_SECONDS, WatchEnded, relay::is_expired};
use crate::metrics;

/// Names of nodes; none before the first list.
pub type Expected = Option<BTreeSet<Arc<str>>>;

/// Follows the pods of the node-loader in the operator's own namespace.
pub(super) async fn run(client: Client, namespace: &str, expected: watch::Sender<Expected>) -> WatchEnded {
    let (label, value) = names::NODE_LABEL;
    let config = Config::default().timeout(WATCH_SECONDS).labels(&format!("{label}={value}"));
    let mut changes = pin!(watcher(Api::<Pod>::namespaced(client, namespace), config).default_backoff());
    let mut loaders = Loaders::default();
    while let Some(change) = changes.next().await {
        match change {
            Ok(event) => {
                if loaders.take(event) {
                    expected.send_replace(Some(loaders.nodes()));
                }
            }
            Err(error) if is_expired(&error) => {}
            Err(error) => {
                ::metrics::counter!(metrics::WATCH_FAILURES, "kind" => "Pod").increment(1);
                tracing::warn!(kind = "Pod", %error, "watch of the node-loader's pods failed; what is known stays in force");
            }
        }
    }
    WatchEnded::Watch
}

/// The pods, each with its node.
#[derive(Debug, Default)]
struct Loaders {
    pods: BTreeMap<String, Arc<str>>,
    listed: BTreeMap<String, Arc<str>>,
    complete: bool,
}

impl Loaders {
    /// Gives whether the nodes changed.
    fn take(&mut self, event: Event<Pod>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(pod) => {
                self.listed.extend(placed(pod));
                false
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.pods, std::mem::take(&mut self.listed));
                !std::mem::replace(&mut self.complete, true) || before != self.pods
            }
            Event::Apply(pod) => match placed(pod) {
                Some((pod, node)) => self.pods.insert(pod, node.clone()) != Some(node),
                None => false,
            },
            Event::Delete(pod) => self.pods.remove(&pod.metadata.name.unwrap_or_default()).is_some(),
        }
    }

    /// Costs all pods; they come and go with nodes and upgrades.
    fn nodes(&self) -> BTreeSet<Arc<str>> {
        self.pods.values().cloned().collect()
    }
}

/// A pod's name and its node. One that is not bound yet names its node in the affinity that the DaemonSet's controller gave
/// it: `metadata.name in [node]`.
fn placed(pod: Pod) -> Option<(String, Arc<str>)> {
    let (name, spec) = (pod.metadata.name?, pod.spec?);
    let node = spec.node_name.filter(|node| !node.is_empty()).or_else(|| {
        let required = spec.affinity?.node_affinity?.required_during_scheduling_ignored_during_execution?;
        let fields = required.node_selector_terms.into_iter().flat_map(|term| term.match_fields.unwrap_or_default());
        fields.filter(|field| field.key == "metadata.name").find_map(|field| field.values?.into_iter().next())
    })?;
    Some((name, node.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    fn bound(name: &str, node: &str) -> Pod {
        pod(name, serde_json::json!({ "containers": [], "nodeName": node }))
    }

    fn nodes(loaders: &Loaders) -> Vec<String> {
        loaders.nodes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_that_waits_for_its_node_counts() {
        let term =
            serde_json::json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] });
        let required =
            serde_json::json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } });
        let waiting = pod("a", serde_json::json!({ "containers": [], "affinity": { "nodeAffinity": required } }));
        let mut loaders = Loaders::default();
        assert!(loaders.take(Event::Apply(waiting)));
        assert_eq!(nodes(&loaders), ["n1"]);
        assert!(!loaders.take(Event::Apply(bound("a", "n1"))), "bound by now, to the same node");
        assert!(!loaders.take(Event::Apply(pod("b", serde_json::json!({ "containers": [] })))));
    }

    #[test]
    fn a_pod_that_is_replaced_leaves_its_node_in() {
        let mut loaders = Loaders::default();
        assert!(!loaders.take(Event::Init));
        assert!(!loaders.take(Event::InitApply(bound("old", "n1"))));
        assert!(loaders.take(Event::InitDone));
        loaders.take(Event::Apply(bound("new", "n1")));
        loaders.take(Event::Delete(bound("old", "n1")));
        assert_eq!(nodes(&loaders), ["n1"]);
        loaders.take(Event::Delete(bound("new", "n1")));
        assert_eq!(nodes(&loaders), [""; 0]);
    }

    #[test]
    fn an_empty_list_is_news_the_first_time() {
        let mut loaders = Loaders::default();
        loaders.take(Event::Init);
        assert!(loaders.take(Event::InitDone));
        loaders.take(Event::Init);
        assert!(!loaders.take(Event::InitDone));
    }
}
