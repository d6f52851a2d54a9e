//! One write as Kubernetes wants it: server-side apply under our field manager, so that other writers' fields stay theirs.

use axoneme_api::{
    cec::{CiliumClusterwideEnvoyConfig, CiliumEnvoyConfig},
    names,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::Service,
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressLoadBalancerIngress, IngressPortStatus},
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::subresource::Subresources;
use crate::{
    ObjectKey, Target, Write,
    engine::ConfigStatus,
    source::{Kind, LoadBalancerAddress, Name, PortStatus},
};

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands there now.
    Written,
    /// There was nothing to write to: the object is gone.
    Gone,
    /// Objects of this kind have no status on this cluster.
    NoStatus,
    /// A deletion spared an object that is not ours.
    NotOurs,
}

impl Outcome {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Written => "ok",
            Self::Gone => "gone",
            Self::NoStatus => "no_status",
            Self::NotOurs => "not_ours",
        }
    }
}

/// The kind of object behind a target, for metrics.
pub(super) fn kind(target: &Target) -> &'static str {
    match target {
        Target::Service(_) => Kind::Service.as_str(),
        Target::EndpointSlice(_) => Kind::EndpointSlice.as_str(),
        Target::IngressStatus(_) => Kind::Ingress.as_str(),
        Target::ConfigStatus(object) => object.kind.as_str(),
    }
}

/// Performs a write.
///
/// # Errors
/// What the API server said; the write may be tried again.
pub(super) async fn perform(
    client: &Client,
    subresources: &Subresources,
    write: &Write,
) -> Result<Outcome, kube::Error> {
    match write {
        Write::Service(service) => apply(client, &service.name, &service.to_object()).await,
        Write::EndpointSlice(slice) => apply(client, &slice.name, &slice.to_object()).await,
        Write::DeleteService(name) => delete::<Service>(client, name).await,
        Write::DeleteEndpointSlice(name) => delete::<EndpointSlice>(client, name).await,
        Write::IngressStatus { ingress, addresses } => {
            let api = namespaced::<Ingress>(client, ingress);
            apply_status(&api, &ingress.name, ingress_status(addresses)).await
        }
        // Without the field we give up what we own of it, and only that: a new owner's addresses stay, whoever is first.
        // https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
        Write::ClearIngressStatus(ingress) => {
            apply_status(&namespaced::<Ingress>(client, ingress), &ingress.name, json!({})).await
        }
        Write::ConfigStatus { object, status } => {
            if !subresources.has(client, object.kind).await? {
                return Ok(Outcome::NoStatus);
            }
            let outcome = config_status(client, object, status).await?;
            // Not found is the object, or the status: its definition may have been replaced a moment ago.
            if outcome == Outcome::Gone {
                subresources.ask(client).await?;
                if !subresources.has(client, object.kind).await? {
                    return Ok(Outcome::NoStatus);
                }
            }
            Ok(outcome)
        }
    }
}

async fn config_status(client: &Client, object: &ObjectKey, status: &ConfigStatus) -> Result<Outcome, kube::Error> {
    let status = json!(status.to_status(&Time(Timestamp::now())));
    let name = &object.name;
    if object.kind == Kind::CiliumClusterwideEnvoyConfig {
        let api = Api::<CiliumClusterwideEnvoyConfig>::all(client.clone());
        apply_status(&api, &name.name, status).await
    } else {
        apply_status(&namespaced::<CiliumEnvoyConfig>(client, name), &name.name, status).await
    }
}

fn namespaced<K>(client: &Client, name: &Name) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), &name.namespace)
}

fn parameters() -> PatchParams {
    PatchParams::apply(names::FIELD_MANAGER).force()
}

async fn apply<K>(client: &Client, name: &Name, object: &K) -> Result<Outcome, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    match namespaced::<K>(client, name).patch_metadata(&name.name, &parameters(), &Patch::Apply(object)).await {
        Ok(_) => Ok(Outcome::Written),
        // An apply creates what is not there; what is missing is the namespace, and its Ingress went with it.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(Outcome::Gone),
        Err(error) => Err(error),
    }
}

async fn apply_status<K>(api: &Api<K>, name: &str, status: serde_json::Value) -> Result<Outcome, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "status": status,
    });
    match api.patch_status(name, &parameters(), &Patch::Apply(&patch)).await {
        Ok(_) => Ok(Outcome::Written),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(Outcome::Gone),
        Err(error) => Err(error),
    }
}

/// Deletes an object only if it carries our label, and only the very one that was looked at.
async fn delete<K>(client: &Client, name: &Name) -> Result<Outcome, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api = namespaced::<K>(client, name);
    let Some(found) = api.get_metadata_opt(&name.name).await? else { return Ok(Outcome::Gone) };
    let (label, value) = names::INGRESS_LABEL;
    if found.metadata.labels.iter().flatten().all(|(key, is)| key != label || is != value) {
        return Ok(Outcome::NotOurs);
    }
    let only = Preconditions { uid: found.metadata.uid, resource_version: None };
    match api.delete(&name.name, &DeleteParams::default().preconditions(only)).await {
        Ok(_) => Ok(Outcome::Written),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(Outcome::Gone),
        Err(error) => Err(error),
    }
}

fn ingress_status(addresses: &[LoadBalancerAddress]) -> serde_json::Value {
    let entry = |LoadBalancerAddress { ip, hostname, ports }: &LoadBalancerAddress| IngressLoadBalancerIngress {
        ip: ip.clone(),
        hostname: hostname.clone(),
        ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
    };
    // An empty list, not an absent one: it takes back what we wrote before.
    json!({ "loadBalancer": { "ingress": addresses.iter().map(entry).collect::<Vec<_>>() } })
}

fn port(PortStatus { port, protocol, error }: &PortStatus) -> IngressPortStatus {
    IngressPortStatus { port: *port, protocol: protocol.clone(), error: error.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingress_shows_the_addresses_of_its_service() {
        let broken =
            PortStatus { port: 80, protocol: "TCP".to_owned(), error: Some("MixedProtocolNotSupported".to_owned()) };
        let ip = LoadBalancerAddress { ports: vec![broken], ..LoadBalancerAddress::ip("203.0.113.7") };
        let name = LoadBalancerAddress { hostname: Some("lb.example".to_owned()), ..LoadBalancerAddress::default() };
        let ports = json!([{ "port": 80, "protocol": "TCP", "error": "MixedProtocolNotSupported" }]);
        assert_eq!(
            ingress_status(&[ip, name]),
            json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.7", "ports": ports }, { "hostname": "lb.example" }] } })
        );
        assert_eq!(ingress_status(&[]), json!({ "loadBalancer": { "ingress": [] } }));
    }
}
