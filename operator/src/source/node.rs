//! Node in its reduced form: what selectors look at, and where clients find it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as k8s;

use super::Meta;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Cluster-scoped.
    pub meta: Meta,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where clients find it, sorted: its external addresses or, without any, its internal ones.
    pub addresses: Vec<IpAddr>,
    /// Its condition `Ready` is `True`.
    pub is_ready: bool,
}

impl Node {
    /// From the two parts of a node that matter: the rest of it is large.
    #[must_use]
    pub fn new(meta: Meta, labels: BTreeMap<String, String>, status: Option<&k8s::NodeStatus>) -> Self {
        let of = |type_: &str| {
            let all = status.and_then(|status| status.addresses.as_ref()).into_iter().flatten();
            let mine = all.filter(|it| it.type_ == type_).filter_map(|it| it.address.parse().ok());
            let mut addresses: Vec<IpAddr> = mine.collect();
            addresses.sort_unstable();
            addresses.dedup();
            addresses
        };
        let external = of("ExternalIP");
        let mut conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        Self {
            meta,
            labels,
            addresses: if external.is_empty() { of("InternalIP") } else { external },
            is_ready: conditions.any(|it| it.type_ == "Ready" && it.status == "True"),
        }
    }
}

impl From<&k8s::Node> for Node {
    fn from(node: &k8s::Node) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        Self::new(Meta::from(&node.metadata), labels, node.status.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addresses: &[(&str, &str)], ready: &str) -> Node {
        let addresses: Vec<_> =
            addresses.iter().map(|(type_, it)| serde_json::json!({ "type": type_, "address": it })).collect();
        let manifest = serde_json::json!({
            "metadata": { "name": "n" },
            "status": { "addresses": addresses, "conditions": [
                { "type": "MemoryPressure", "status": "True" }, { "type": "Ready", "status": ready },
            ] },
        });
        let object: k8s::Node = serde_json::from_value(manifest).unwrap();
        (&object).into()
    }

    fn addresses(node: &Node) -> Vec<String> {
        node.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn external_addresses_count_and_without_any_the_internal_ones() {
        let internal = [("InternalIP", "10.0.0.2"), ("Hostname", "n"), ("InternalIP", "fd00::2"), ("InternalIP", "n")];
        assert_eq!(addresses(&node(&internal, "True")), ["10.0.0.2", "fd00::2"]);
        let both = [("InternalIP", "10.0.0.2"), ("ExternalIP", "2001:db8::2"), ("ExternalIP", "192.0.2.2")];
        assert_eq!(addresses(&node(&both, "True")), ["192.0.2.2", "2001:db8::2"]);
        assert_eq!(addresses(&node(&[], "True")), [""; 0]);
    }

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        for (status, ready) in [("True", true), ("False", false), ("Unknown", false)] {
            assert_eq!(node(&[], status).is_ready, ready, "{status}");
        }
        assert!(!Node::from(&k8s::Node::default()).is_ready);
    }
}
