//! A class whose Ingresses share one address, because its parameters say so.

use anyhow::Result;
use axoneme_e2e::{Cluster, cluster::NAMESPACE as INSTALLED};

pub(crate) const CLASS: &str = "e2e-shared";

/// The class, until it is dropped.
pub(crate) struct Class<'a>(&'a Cluster);

impl<'a> Class<'a> {
    pub(crate) fn make(cluster: &'a Cluster) -> Result<Self> {
        cluster.apply(INSTALLED, include_str!("manifests/shared.yaml"))?;
        Ok(Self(cluster))
    }
}

impl Drop for Class<'_> {
    fn drop(&mut self) {
        for object in ["ingressclass/e2e-shared", "configmap/e2e-shared"] {
            if let Err(error) = self.0.kubectl(&["delete", "-n", INSTALLED, object, "--ignore-not-found"]) {
                println!("{object} is still there: {error:#}");
            }
        }
    }
}
