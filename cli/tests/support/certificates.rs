//! Certificates of tests: those that sign themselves, those of an authority, and the Secrets that hold them.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{io::Write as _, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

/// A certificate and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    /// One that signs itself.
    pub(crate) fn of(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// The certificate as a handshake shows it.
    pub(crate) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }

    /// The certificate as a file, for a client that trusts nobody else.
    pub(crate) fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(self.certificate.as_bytes()).unwrap();
        file
    }

    /// For clients that trust this certificate alone; `protocols` are for ALPN.
    pub(crate) fn connector(&self, protocols: &[&str]) -> TlsConnector {
        connector(&self.certificate, protocols)
    }

    /// The Secret of namespace `shop`.
    pub(crate) fn secret(&self, name: &str) -> String {
        self.secret_of("shop", name)
    }

    /// The Secret of any namespace.
    pub(crate) fn secret_of(&self, namespace: &str, name: &str) -> String {
        let indent = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: \
             kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
            indent(&self.certificate),
            indent(&self.key)
        )
    }
}

/// Signs certificates.
pub(crate) struct Authority {
    /// Its own certificate, PEM.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// A new certificate for these names.
    pub(crate) fn sign<S: AsRef<str>>(&self, names: &[S]) -> Pair {
        let names: Vec<_> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// For clients that trust this authority alone; `protocols` are for ALPN.
    pub(crate) fn connector(&self, protocols: &[&str]) -> TlsConnector {
        connector(&self.pem, protocols)
    }
}

fn connector(trusted: &str, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}
