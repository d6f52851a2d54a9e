//! The operator's own certificate authority: nodes trust it and nothing else when they fetch their intents.
//!
//! # Lifetimes and rotation
//! - A leaf certificate lives in a replica's memory only, for a day, and is made anew when two thirds of it are over
//!   ([`Leaf`]).
//! - The authority lives for ten years in a Secret. To rotate it, delete that Secret and restart the replicas one by one:
//!   the first one makes a new authority and publishes a *bundle* of new and old ([`bundle`]), so nodes accept replicas of
//!   both kinds during the change.

use std::{sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

pub use self::{
    bundle::bundle,
    leaf::Leaf,
    store::{StoreError, publish_authority},
};

mod bundle;
mod leaf;
mod store;

const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates begin to be valid this long before they are made, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
const COMMON_NAME: &str = "axoneme-operator intents CA";

/// What can be wrong with a key or certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A key could not be made or read, or a certificate not signed.
    #[error("making a certificate failed: {0}")]
    Generate(#[from] rcgen::Error),
    /// The stored certificate is no PEM certificate.
    #[error("the authority's certificate (tls.crt) is not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The stored key does not belong to the stored certificate.
    #[error("the authority's key (tls.key) does not fit its certificate (tls.crt): {0}")]
    Mismatch(#[from] rustls::Error),
}

/// A certificate authority with its key.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pem", &self.pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// [`CaError::Generate`] when there is no randomness to be had.
    pub fn generate() -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let mut parameters = authority_parameters();
        let now = std::time::SystemTime::now();
        parameters.not_before = (now - CLOCK_SKEW).into();
        parameters.not_after = (now + AUTHORITY_LIFETIME).into();
        let pem = parameters.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(parameters, key) })
    }

    /// Reads an authority that was made before.
    ///
    /// # Errors
    /// Says which of the two parts is wrong, or that they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(key)?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        certified(vec![der], &key)?.keys_match()?;
        Ok(Self { pem: certificate.to_owned(), issuer: Issuer::new(authority_parameters(), key) })
    }

    /// The certificate that clients trust, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The private key, PEM. Goes into the Secret and nowhere else.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Makes a server certificate for DNS names, with a fresh key.
    ///
    /// # Errors
    /// [`CaError`] when a name is no DNS name or there is no randomness to be had.
    pub fn issue(&self, names: &[String], lifetime: Duration) -> Result<Arc<CertifiedKey>, CaError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(names.to_vec())?;
        let now = std::time::SystemTime::now();
        parameters.not_before = (now - CLOCK_SKEW).into();
        parameters.not_after = (now + lifetime).into();
        parameters.distinguished_name = common_name("axoneme-operator");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Arc::new(certified(vec![certificate.der().clone()], &key)?))
    }
}

/// The same for a new and for a stored authority: a leaf names its issuer by these, so they must not change.
fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(COMMON_NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<CertifiedKey, rustls::Error> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok(CertifiedKey::new(chain, any_supported_type(&key)?))
}

#[cfg(test)]
mod tests;
