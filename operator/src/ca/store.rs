//! Where the authority is kept: its key in a Secret that only the operator reads, its certificate in a ConfigMap for nodes.

use std::collections::BTreeMap;

use axoneme_api::names;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};

use super::{Authority, CaError, bundle};
use crate::write::made;

/// Why the authority is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server refused or was not there.
    #[error("{action}: {source}")]
    Kube {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: kube::Error,
    },
    /// The Secret is there, but unusable.
    #[error("Secret {namespace}/{} is unusable: {source}; delete it to have a new authority made", names::CA_SECRET)]
    Secret {
        /// Where the Secret is.
        namespace: String,
        /// What is wrong with it.
        source: CaError,
    },
    /// A new authority could not be made.
    #[error(transparent)]
    Ca(#[from] CaError),
}

/// Loads the authority, or makes it when this is the first replica ever, and publishes what nodes are to trust.
///
/// Any number of replicas may do this at once: one creates the Secret, the others read it.
///
/// # Errors
/// [`StoreError`] when the API server refuses or the Secret is damaged.
pub async fn publish_authority(client: &Client, namespace: &str) -> Result<Authority, StoreError> {
    let authority = load_or_create(client, namespace).await?;
    publish(client, namespace, &authority).await?;
    Ok(authority)
}

async fn load_or_create(client: &Client, namespace: &str) -> Result<Authority, StoreError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let kube = |action| move |source| StoreError::Kube { action, source };
    if let Some(secret) = api.get_opt(names::CA_SECRET).await.map_err(kube("reading the authority's Secret"))? {
        return read(&secret, namespace);
    }
    let authority = Authority::generate()?;
    match api.create(&PostParams::default(), &secret(&authority)).await {
        Ok(_) => {
            tracing::info!(namespace, secret = names::CA_SECRET, "made a certificate authority");
            Ok(authority)
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let theirs = api.get(names::CA_SECRET).await.map_err(kube("reading the authority's Secret"))?;
            read(&theirs, namespace)
        }
        Err(source) => Err(StoreError::Kube { action: "creating the authority's Secret", source }),
    }
}

async fn publish(client: &Client, namespace: &str, authority: &Authority) -> Result<(), StoreError> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let kube = |action| move |source| StoreError::Kube { action, source };
    let published = api
        .get_opt(names::CA_CONFIG_MAP)
        .await
        .map_err(kube("reading the authority's ConfigMap"))?
        .and_then(|map| map.data.unwrap_or_default().remove("ca.crt"))
        .unwrap_or_default();
    // A replica that still runs the previous authority finds itself in the bundle and must not turn the order round.
    if published.contains(authority.certificate_pem().trim()) {
        return Ok(());
    }
    let map = ConfigMap {
        metadata: made(names::CA_CONFIG_MAP),
        data: Some(BTreeMap::from([("ca.crt".to_owned(), bundle(authority.certificate_pem(), &published))])),
        ..ConfigMap::default()
    };
    let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
    api.patch(names::CA_CONFIG_MAP, &parameters, &Patch::Apply(&map))
        .await
        .map_err(kube("publishing the authority's certificate"))?;
    Ok(())
}

fn secret(authority: &Authority) -> Secret {
    let part = |name: &str, value: String| (name.to_owned(), ByteString(value.into_bytes()));
    Secret {
        metadata: made(names::CA_SECRET),
        // Not kubernetes.io/tls: this key is none that anybody may serve with.
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([
            part("tls.crt", authority.certificate_pem().to_owned()),
            part("tls.key", authority.key_pem()),
        ])),
        ..Secret::default()
    }
}

fn read(secret: &Secret, namespace: &str) -> Result<Authority, StoreError> {
    let part = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name)).map(|value| value.0.as_slice());
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    Authority::from_pem(&part("tls.crt"), &part("tls.key"))
        .map_err(|source| StoreError::Secret { namespace: namespace.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_its_secret() {
        let authority = Authority::generate().unwrap();
        let back = read(&secret(&authority), "axoneme").unwrap();
        assert_eq!(back.certificate_pem(), authority.certificate_pem());
        assert_eq!(back.key_pem(), authority.key_pem());
    }

    #[test]
    fn a_damaged_secret_is_named() {
        let mut damaged = secret(&Authority::generate().unwrap());
        damaged.data = None;
        let error = read(&damaged, "axoneme").unwrap_err().to_string();
        assert!(error.contains("axoneme/axoneme-ca"), "{error}");
    }
}
