//! Which addresses of a Service go to a listener.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axoneme_api::intent::{Frontend, REDIRECT, Redirect, SourceRange};
use axoneme_api::names;
use axoneme_xds::Resource;
use prost::Message as _;

use crate::intents::Intent;
use crate::model::options::range;
use crate::source::{ObjectKey, Service, ServicePort};

/// The redirect of one port of a Service. `None` while the Service has no address that clients could dial.
///
/// `spec.loadBalancerSourceRanges` is about what the load balancer hands out, as in kube-proxy: cluster IPs, external IPs and
/// node ports are open to everybody. A range that is none lets nobody in.
///
/// With `is_proxied` the address of a packet is that of a proxy, which says the client's in a PROXY protocol header: there is
/// nothing to compare.
pub(super) fn redirect(
    service: &Service,
    port: &ServicePort,
    listener: &str,
    owner: &ObjectKey,
    is_proxied: bool,
) -> Option<Intent> {
    let is_open = is_proxied || service.source_ranges.is_empty();
    let restricted: BTreeSet<IpAddr> = if is_open { BTreeSet::new() } else { service.balanced().collect() };
    let frontend = |ip| Frontend {
        listed_sources_only: restricted.contains(&ip),
        ..Frontend::new(SocketAddr::new(ip, port.port))
    };
    let frontends: Vec<Frontend> = service.addresses().into_iter().map(frontend).collect();
    if frontends.is_empty() && port.node_port.is_none() {
        return None;
    }
    let ranges = service.source_ranges.iter().filter_map(|text| range(text.trim()));
    let sources: BTreeSet<SourceRange> = ranges.map(|range| SourceRange::new(range.address, range.bits)).collect();
    let name = &service.meta.name;
    let redirect = Redirect {
        frontends,
        node_ports: port.node_port.map(u32::from).into_iter().collect(),
        listener: listener.to_owned(),
        owner: owner.to_string(),
        has_backends: !service.is_ingress,
        sources: if restricted.is_empty() { Vec::new() } else { sources.into_iter().collect() },
    };
    let name: Arc<str> = names::redirect(&name.namespace, &name.name, port.port).into();
    let resource = Resource::new(REDIRECT, name, redirect.encode_to_vec());
    Some(Intent { resource, awaited: true, endpoints: None })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1 as k8s;

    use super::*;
    use crate::source::{Kind, Name};

    /// The redirect of port 80 of a Service of this `spec`, with 203.0.113.7 and 2001:db8::7 from its load balancer.
    fn of(spec: &serde_json::Value) -> Redirect {
        proxied(spec, false)
    }

    fn proxied(spec: &serde_json::Value, is_proxied: bool) -> Redirect {
        let mut object = serde_json::json!({
            "metadata": { "namespace": "default", "name": "web" },
            "spec": { "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "externalIPs": ["198.51.100.1"],
                      "ports": [{ "port": 80, "nodePort": 30080 }] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "203.0.113.7" }, { "ip": "2001:db8::7" }] } },
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        let service = Service::from(&serde_json::from_value::<k8s::Service>(object).unwrap());
        let owner = ObjectKey { kind: Kind::CiliumEnvoyConfig, name: Name::new("default", "web") };
        let intent = redirect(&service, service.port(80).unwrap(), "l", &owner, is_proxied).unwrap();
        Redirect::decode(intent.resource.body).unwrap()
    }

    fn restricted(redirect: &Redirect) -> Vec<String> {
        let restricted = redirect.frontends.iter().filter(|frontend| frontend.listed_sources_only);
        restricted.map(|frontend| frontend.socket_addr().unwrap().to_string()).collect()
    }

    #[test]
    fn ranges_hold_for_what_the_load_balancer_hands_out() {
        let redirect = of(&serde_json::json!({ "loadBalancerSourceRanges": [" 192.0.2.0/24", "2001:db8:1::/48"] }));
        assert_eq!(restricted(&redirect), ["203.0.113.7:80", "[2001:db8::7]:80"]);
        let ranges: Vec<_> = redirect.sources.iter().map(|range| range.prefix().unwrap()).collect();
        let expected =
            [("2001:db8:1::", 48), ("192.0.2.0", 24)].map(|(ip, bits)| (ip.parse::<IpAddr>().unwrap(), bits));
        assert_eq!(ranges, expected);
        assert_eq!((redirect.frontends.len(), redirect.node_ports), (4, vec![30_080]));
    }

    #[test]
    fn behind_a_proxy_that_tells_the_client_nobody_is_refused_by_address() {
        let redirect = proxied(&serde_json::json!({ "loadBalancerSourceRanges": ["192.0.2.0/24"] }), true);
        assert_eq!((restricted(&redirect), redirect.sources), (vec![], vec![]));
    }

    #[test]
    fn without_ranges_everybody_may_connect_and_with_a_wrong_one_nobody() {
        let open = of(&serde_json::json!({}));
        assert_eq!((restricted(&open), open.sources), (vec![], vec![]));
        let wrong = of(&serde_json::json!({ "loadBalancerSourceRanges": ["everybody"] }));
        assert_eq!((restricted(&wrong).len(), wrong.sources), (2, vec![]));
    }
}
