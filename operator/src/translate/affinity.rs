//! `sessionAffinity: ClientIP` of a Service: a client stays with its backend.
//!
//! The cluster hashes the client's address by itself, whatever routes lead to it: no route and no listener says anything of it.
//! There is no table of clients, so `timeoutSeconds` means nothing, and every node sends a client to the same backend.

use axoneme_xds::Resource;
use prost::Message as _;
use serde_json::{Value, json};

/// The field `load_balancing_policy` of a cluster.
pub(super) fn policy() -> Value {
    json!({
        "policies": [{ "typed_extension_config": {
            "name": NAME,
            "typed_config": {
                "@type": MAGLEV,
                "consistent_hashing_lb_config": { "hash_policy": [{ "connection_properties": { "source_ip": true } }] },
            },
        } }],
    })
}

/// Whether a cluster, as it was written, leaves it to us how a backend is chosen.
pub(super) fn is_open(cluster: &Value) -> bool {
    let says = |field| cluster.get(field).is_some();
    let fields = [
        ["lbPolicy", "lb_policy"],
        ["loadBalancingPolicy", "load_balancing_policy"],
        ["lbSubsetConfig", "lb_subset_config"],
    ];
    !fields.iter().flatten().any(|field| says(*field))
}

/// An encoded cluster with the policy: the bytes of two messages in a row are the message with the fields of both.
pub(super) fn with_policy(cluster: &Resource) -> Resource {
    let mut body = cluster.body.to_vec();
    body.extend(part().encode_to_vec());
    Resource::new(cluster.type_url.clone(), cluster.name.clone(), body)
}

const NAME: &str = "envoy.load_balancing_policies.maglev";
const MAGLEV: &str = "type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev";

fn part() -> Cluster {
    let source = ConnectionProperties { source_ip: true };
    let hashing = ConsistentHashing { hash_policy: vec![HashPolicy { connection_properties: Some(source) }] };
    let typed_config = prost_types::Any {
        type_url: MAGLEV.to_owned(),
        value: Maglev { consistent_hashing_lb_config: Some(hashing) }.encode_to_vec(),
    };
    let extension = Extension { name: NAME.to_owned(), typed_config: Some(typed_config) };
    let policies = vec![Policy { typed_extension_config: Some(extension) }];
    Cluster { load_balancing_policy: Some(LoadBalancingPolicy { policies }) }
}

/// Of `envoy.config.cluster.v3.Cluster`.
#[derive(Clone, PartialEq, prost::Message)]
struct Cluster {
    #[prost(message, optional, tag = "41")]
    load_balancing_policy: Option<LoadBalancingPolicy>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LoadBalancingPolicy {
    #[prost(message, repeated, tag = "1")]
    policies: Vec<Policy>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Policy {
    #[prost(message, optional, tag = "4")]
    typed_extension_config: Option<Extension>,
}

/// `envoy.config.core.v3.TypedExtensionConfig`.
#[derive(Clone, PartialEq, prost::Message)]
struct Extension {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    typed_config: Option<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Maglev {
    #[prost(message, optional, tag = "2")]
    consistent_hashing_lb_config: Option<ConsistentHashing>,
}

/// Of `envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig`.
#[derive(Clone, PartialEq, prost::Message)]
struct ConsistentHashing {
    #[prost(message, repeated, tag = "3")]
    hash_policy: Vec<HashPolicy>,
}

/// Of `envoy.config.route.v3.RouteAction.HashPolicy`.
#[derive(Clone, PartialEq, prost::Message)]
struct HashPolicy {
    #[prost(message, optional, tag = "3")]
    connection_properties: Option<ConnectionProperties>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ConnectionProperties {
    #[prost(bool, tag = "1")]
    source_ip: bool,
}

#[cfg(test)]
mod tests {
    use axoneme_envoy::{ResourceKind, decode};

    use super::*;

    #[test]
    fn the_appended_bytes_are_what_the_json_says() {
        let plain = json!({ "@type": ResourceKind::Cluster.type_url(), "name": "c", "connect_timeout": "1s" });
        let mut whole = plain.clone();
        whole["load_balancing_policy"] = policy();
        let encode = |json: &Value| {
            let cluster = decode(json, "").unwrap();
            Resource::new(cluster.kind().type_url(), cluster.name(), cluster.encode())
        };
        // Fields are encoded in the order of their numbers, and this one is the last.
        assert_eq!(with_policy(&encode(&plain)).body, encode(&whole).body);
    }

    #[test]
    fn who_chose_a_policy_has_it() {
        assert!(is_open(&json!({ "name": "c", "type": "EDS" })));
        for chosen in [
            json!({ "lbPolicy": "ROUND_ROBIN" }),
            json!({ "load_balancing_policy": {} }),
            json!({ "lbSubsetConfig": {} }),
        ] {
            assert!(!is_open(&chosen), "{chosen}");
        }
    }
}
