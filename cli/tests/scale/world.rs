//! What a user has in the folder: one config with everything that can be edited while traffic flows. It knows its files, and
//! what each resource of it is meant to be, so that a difference of the latter says what an edit has to send.

mod change;
mod files;

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde_json::{Value, json};

use crate::{
    certificates::{Authority, Pair},
    load::HOST_NAME,
    log::Key,
    stage::PORT,
};

pub(crate) use change::{Step, Subject};
pub(crate) use files::{PLAIN, SECURE};

/// The Services with backends, and how many pods each has.
pub(crate) const BACKENDS: [&str; 3] = ["red", "green", "blue"];
pub(crate) const PODS: usize = 3;

/// What a pod is in the EndpointSlice of its Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Terminating,
    Gone,
}

#[derive(Clone, Debug)]
struct Pod {
    name: String,
    address: Ipv4Addr,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cluster {
    connect_timeout: usize,
    policy: &'static str,
    max_requests: usize,
}

#[derive(Clone, Debug)]
struct Route {
    prefix: String,
    /// By the cluster's name as in the config.
    weights: BTreeMap<String, usize>,
    timeout: usize,
}

/// See the module.
pub(crate) struct World {
    authority: Authority,
    clusters: BTreeMap<&'static str, Cluster>,
    /// A cluster that comes and goes: its number.
    canary: Option<usize>,
    canaries: usize,
    /// All but the last one, which takes what is left.
    routes: Vec<Route>,
    last: Route,
    /// Of the route configuration: answers carry it.
    pub(crate) serial: usize,
    pods: BTreeMap<&'static str, Vec<Pod>>,
    pub(crate) certificate: Pair,
    /// By file: a comment in it.
    remarks: BTreeMap<String, usize>,
}

impl World {
    /// The world before the first edit, with the addresses of the pods.
    pub(crate) fn new(authority: Authority, addresses: &BTreeMap<String, Ipv4Addr>) -> Self {
        let cluster = Cluster { connect_timeout: 5000, policy: "ROUND_ROBIN", max_requests: 1000 };
        let pods = |service: &'static str| {
            let pod = |name: String| Pod { address: addresses[&name], name, state: State::Ready };
            (service, (1..=PODS).map(|number| pod(pod_name(service, number))).collect())
        };
        let route = |prefix: &str| Route {
            prefix: prefix.to_owned(),
            weights: BACKENDS.iter().map(|service| (format!("scale/{service}"), 1)).collect(),
            timeout: 15,
        };
        Self {
            certificate: authority.sign(&[HOST_NAME]),
            authority,
            clusters: BACKENDS.map(|service| (service, cluster)).into(),
            canary: None,
            canaries: 0,
            routes: vec![route("/red"), route("/green")],
            last: route("/"),
            serial: 0,
            pods: BACKENDS.map(pods).into(),
            remarks: BTreeMap::new(),
        }
    }

    /// The pods that take requests.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &str> {
        let ready = self.pods.values().flatten().filter(|pod| pod.state == State::Ready);
        ready.map(|pod| pod.name.as_str())
    }

    /// Every resource that may change, as it is meant.
    pub(crate) fn resources(&self) -> BTreeMap<Key, Value> {
        let key = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let mut all = BTreeMap::new();
        for (service, cluster) in &self.clusters {
            let name = format!("scale/{service}");
            all.insert(key("ClusterLoadAssignment", &name), self.addresses(service));
            all.insert(key("Cluster", &name), cluster.resource(&name, None));
        }
        if let Some(number) = self.canary {
            let (service, endpoints) = canary_endpoints(number);
            all.insert(key("ClusterLoadAssignment", endpoints), self.addresses(service));
            all.insert(key("Cluster", &format!("scale/mesh/{}", canary_name(number))), canary(number));
        }
        all.insert(key("RouteConfiguration", "scale/mesh/routes"), self.route_configuration());
        all.insert(key("Secret", "scale/web"), json!(self.certificate.certificate));
        all
    }

    /// The assignments that Envoy wants again with a cluster of that name.
    pub(crate) fn assignment(cluster: &str) -> String {
        let number = cluster.rsplit_once("canary-").and_then(|(_, number)| number.parse().ok());
        number.map_or(cluster, |number| canary_endpoints(number).1).to_owned()
    }

    fn addresses(&self, service: &str) -> Value {
        let ready = self.pods[service].iter().filter(|pod| pod.state == State::Ready);
        let mut addresses: Vec<_> = ready.map(|pod| format!("{}:{PORT}", pod.address)).collect();
        addresses.sort();
        json!(addresses)
    }
}

pub(crate) fn pod_name(service: &str, number: usize) -> String {
    format!("{service}-{number}")
}

fn canary_name(number: usize) -> String {
    format!("canary-{number}")
}

/// The Service of a canary, and the name of its endpoints: in turn one that another cluster has too, and one of its own.
fn canary_endpoints(number: usize) -> (&'static str, &'static str) {
    if number.is_multiple_of(2) { ("red", "scale/red") } else { ("green", "scale/green:80") }
}

fn canary(number: usize) -> Value {
    let cluster = Cluster { connect_timeout: 5000, policy: "ROUND_ROBIN", max_requests: 1000 };
    cluster.resource(&canary_name(number), Some(canary_endpoints(number).1))
}

impl Cluster {
    fn resource(self, name: &str, endpoints: Option<&str>) -> Value {
        let Self { connect_timeout, policy, max_requests } = self;
        let mut resource = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": name,
            "type": "EDS",
            "connect_timeout": format!("{}.{:03}s", connect_timeout / 1000, connect_timeout % 1000),
            "lb_policy": policy,
            "circuit_breakers": { "thresholds": [{ "max_requests": max_requests, "max_connections": 1000 }] },
        });
        if let Some(endpoints) = endpoints {
            resource["eds_cluster_config"] = json!({ "service_name": endpoints });
        }
        resource
    }
}
