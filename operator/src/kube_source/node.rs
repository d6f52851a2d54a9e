//! Node as it is decoded: of a large object that changes every few minutes only what matters.

use k8s_openapi::{
    api::core::v1::{Node, NodeStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::{Deserialize, Serialize};

use crate::source::{self, Meta};

/// A Node without its spec, and of its status what [`source::Node`] looks at.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = Node)]
pub struct NodeView {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    status: StatusView,
}

/// Images and volumes are left out: they are nearly all of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct StatusView {
    #[serde(default)]
    addresses: Option<Vec<k8s_openapi::api::core::v1::NodeAddress>>,
    #[serde(default)]
    conditions: Option<Vec<k8s_openapi::api::core::v1::NodeCondition>>,
}

impl From<&NodeView> for source::Node {
    fn from(node: &NodeView) -> Self {
        let StatusView { addresses, conditions } = node.status.clone();
        let status = NodeStatus { addresses, conditions, ..NodeStatus::default() };
        Self::new(Meta::from(&node.metadata), node.metadata.labels.clone().unwrap_or_default(), Some(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_what_the_whole_node_says() {
        let manifest = serde_json::json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": "n", "labels": { "a": "b" } },
            "spec": { "podCIDR": "10.0.0.0/24" },
            "status": {
                "addresses": [{ "type": "InternalIP", "address": "10.0.0.2" }],
                "conditions": [{ "type": "Ready", "status": "True" }],
                "images": [{ "names": ["x"] }],
            },
        });
        let view: NodeView = serde_json::from_value(manifest.clone()).unwrap();
        let whole: Node = serde_json::from_value(manifest).unwrap();
        let node = source::Node::from(&view);
        assert_eq!(node, source::Node::from(&whole));
        assert!(node.is_ready && node.addresses.len() == 1);
        let bare: NodeView = serde_json::from_value(serde_json::json!({ "metadata": { "name": "n" } })).unwrap();
        assert!(!source::Node::from(&bare).is_ready);
    }
}
