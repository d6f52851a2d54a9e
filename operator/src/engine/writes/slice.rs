//! The endpoints of an Ingress's Service, which nobody dials: they tell load balancers that there is somebody, and on which nodes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axoneme_api::names;
use k8s_openapi::api::discovery::v1 as discovery;

use super::{Owner, PORTS};
use crate::source::{Endpoint, EndpointSlice, Name, SlicePort};

/// As many endpoints as the API server takes in one slice: `maxEndpoints` of
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.1/pkg/apis/discovery/validation/validation.go>.
const MOST: usize = 1000;

/// The EndpointSlice of an Ingress's Service, because load balancers announce a Service only when it has an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DummySlice {
    /// As the Service.
    pub name: Name,
    /// The Ingress.
    pub owner: Owner,
    /// Nodes that take connections, sorted by name. `None` where every node does: one endpoint on no node stands for all,
    /// [`names::DUMMY_ENDPOINT`].
    ///
    /// With `externalTrafficPolicy: Local` load balancers ask which nodes have an endpoint, and each of these has one. More than
    /// a slice holds are left out: no load balancer needs a thousand.
    pub nodes: Option<Vec<Arc<str>>>,
}

impl DummySlice {
    /// The names of its ports, which are those of the Service.
    pub fn ports() -> impl Iterator<Item = &'static str> {
        PORTS.into_iter().map(|(name, _)| name)
    }

    /// Each with its node, if it is on one. No address is there twice: kube-proxy tells endpoints apart by address and port.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(IpAddr, Option<Arc<str>>)> {
        let Some(nodes) = &self.nodes else { return vec![(names::DUMMY_ENDPOINT.0.into(), None)] };
        let first = Ipv4Addr::to_bits(names::FIRST_NODE_ENDPOINT);
        let addresses = (first..).map(|bits| Ipv4Addr::from_bits(bits).into());
        addresses.zip(nodes.iter().take(MOST)).map(|(address, node)| (address, Some(node.clone()))).collect()
    }

    /// Whether the slice in the cluster is what it should be. Costs the nodes.
    #[must_use]
    pub fn is_met_by(&self, slice: &EndpointSlice) -> bool {
        let (_, port) = names::DUMMY_ENDPOINT;
        let port_is_dummy = |it: &SlicePort| it.port == port;
        let wanted = self.endpoints();
        let is_there = |(there, (address, node)): (&Endpoint, &(IpAddr, Option<Arc<str>>))| {
            there.addresses == [*address] && *there.node == *node.as_deref().unwrap_or_default()
        };
        slice.is_ingress
            && *slice.service == *self.name.name
            && slice.endpoints.len() == wanted.len()
            && slice.endpoints.iter().zip(&wanted).all(is_there)
            && slice.ports.len() == PORTS.len()
            && slice.ports.iter().all(port_is_dummy)
    }

    /// The object for server-side apply. Says in the log when there are more nodes than it holds.
    #[must_use]
    pub fn to_object(&self) -> discovery::EndpointSlice {
        let nodes = self.nodes.as_ref().map_or(0, Vec::len);
        if nodes > MOST {
            tracing::warn!(slice = %self.name, nodes, most = MOST, "the last nodes by name get no endpoint: a slice holds no more");
        }
        let (_, number) = names::DUMMY_ENDPOINT;
        let port = |name: &str| discovery::EndpointPort {
            name: Some(name.to_owned()),
            port: Some(i32::from(number)),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        };
        let endpoint = |(address, node): (IpAddr, Option<Arc<str>>)| discovery::Endpoint {
            addresses: vec![address.to_string()],
            node_name: node.map(|node| node.to_string()),
            ..discovery::Endpoint::default()
        };
        discovery::EndpointSlice {
            metadata: self.owner.metadata(&self.name, &[("kubernetes.io/service-name", &self.name.name)]),
            address_type: "IPv4".to_owned(),
            endpoints: Some(self.endpoints().into_iter().map(endpoint).collect()),
            ports: Some(Self::ports().map(port).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(nodes: Option<&[&str]>) -> DummySlice {
        DummySlice {
            name: Name::new("default", "cilium-ingress-web"),
            owner: Owner { name: "web".to_owned(), uid: Some("u-1".to_owned()) },
            nodes: nodes.map(|nodes| nodes.iter().map(|node| Arc::from(*node)).collect()),
        }
    }

    #[test]
    fn one_endpoint_stands_for_all_nodes() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&slice(None).to_object()).unwrap());
    }

    #[test]
    fn each_node_has_an_endpoint() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&slice(Some(&["n1", "n2"])).to_object()).unwrap());
    }

    #[test]
    fn a_slice_is_met_by_its_own_object_alone() {
        let all = [None, Some(&[][..]), Some(&["n1"]), Some(&["n1", "n2"]), Some(&["n1", "n3"])].map(slice);
        for (wanted, a) in all.iter().enumerate() {
            for (there, b) in all.iter().enumerate() {
                assert_eq!(a.is_met_by(&EndpointSlice::from(&b.to_object())), wanted == there, "{a:?}, {b:?}");
            }
        }
    }

    #[test]
    fn more_nodes_than_a_slice_holds_are_left_out() {
        let names: Vec<_> = (0..2000).map(|number| format!("n{number:04}")).collect();
        let many = slice(Some(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut endpoints = many.endpoints();
        assert_eq!((endpoints.len(), endpoints[999].1.as_deref()), (1000, Some("n0999")));
        assert!(many.is_met_by(&EndpointSlice::from(&many.to_object())));
        endpoints.dedup_by_key(|endpoint| endpoint.0);
        assert_eq!(endpoints.len(), 1000, "no address twice");
        // 198.18.0.0/15 ends at 198.19.255.255.
        assert!(endpoints.iter().all(|(address, _)| address.to_string().starts_with("198.18.")));
    }
}
