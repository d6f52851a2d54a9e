//! A replica's server certificate: kept in memory, renewed by the handshake that finds it too old.
//!
//! So there is no timer, and a machine that slept or whose clock jumped is right again with the next connection.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Authority, CaError};

const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Answers handshakes with a certificate that has at least a third of its life before it.
#[derive(Debug)]
pub struct Leaf {
    authority: Authority,
    names: Vec<String>,
    current: Mutex<(Arc<CertifiedKey>, SystemTime)>,
}

impl Leaf {
    /// A certificate for a Service's DNS names.
    ///
    /// # Errors
    /// [`CaError`] when the first certificate cannot be made.
    pub fn new(authority: Authority, names: Vec<String>) -> Result<Self, CaError> {
        let first = authority.issue(&names, LIFETIME)?;
        Ok(Self { authority, names, current: Mutex::new((first, SystemTime::now())) })
    }

    /// The names under which nodes may dial the Service `service` of `namespace`.
    #[must_use]
    pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
        ["", &format!(".{namespace}"), &format!(".{namespace}.svc"), &format!(".{namespace}.svc.cluster.local")]
            .map(|suffix| format!("{service}{suffix}"))
            .to_vec()
    }

    /// The certificate to use at `now`.
    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let mut current = self.current.lock();
        // A clock that went backwards makes the age unknown: renew as well.
        let fresh = now.duration_since(current.1).is_ok_and(|age| age < LIFETIME * 2 / 3);
        if !fresh {
            match self.authority.issue(&self.names, LIFETIME) {
                Ok(renewed) => {
                    tracing::info!(names = ?self.names, "server certificate renewed");
                    *current = (renewed, now);
                }
                Err(error) => tracing::error!(%error, "server certificate not renewed; the present one stays in use"),
            }
        }
        Arc::clone(&current.0)
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let leaf =
            Leaf::new(Authority::generate().unwrap(), Leaf::service_names("axoneme-operator", "axoneme")).unwrap();
        let start = SystemTime::now();
        let first = leaf.at(start);
        let same = |other: &Arc<CertifiedKey>| first.cert == other.cert;
        assert!(same(&leaf.at(start + LIFETIME / 2)));
        let renewed = leaf.at(start + LIFETIME * 3 / 4);
        assert!(!same(&renewed));
        assert_eq!(renewed.cert, leaf.at(start + LIFETIME).cert);
    }

    #[test]
    fn the_service_has_its_usual_names() {
        let names = Leaf::service_names("axoneme-operator", "mesh");
        assert_eq!(names[0], "axoneme-operator");
        assert_eq!(names[3], "axoneme-operator.mesh.svc.cluster.local");
    }
}
