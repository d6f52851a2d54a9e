//! Certificates that sign themselves, and the Secrets that hold them.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempPath;

use crate::Cluster;

/// A Secret with a new certificate for these names.
///
/// # Errors
/// When no key can be made.
pub fn tls_secret(name: &str, hosts: &[&str]) -> Result<Value> {
    let hosts = hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(hosts).context("no certificate")?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()},
    }))
}

impl Cluster {
    /// The certificate of a Secret as a file, for a client that trusts nobody else.
    ///
    /// # Errors
    /// When there is no such Secret.
    pub fn certificate(&self, namespace: &str, secret: &str) -> Result<TempPath> {
        let decoded = r#"go-template={{index .data "tls.crt" | base64decode}}"#;
        let pem = self.kubectl(&["get", "secret", "-n", namespace, secret, "-o", decoded])?;
        let file = tempfile::NamedTempFile::new().context("no temporary file")?.into_temp_path();
        fs::write(&file, pem).context("the certificate cannot be kept")?;
        Ok(file)
    }
}
