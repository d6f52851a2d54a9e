//! What Envoy can use of a Secret, judged before Envoy sees it: a pair that does not match would take a listener down.

use rustls::{
    Error, InconsistentKeys,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::source::Secret;

/// Length that Envoy wants of a session ticket key.
const TICKET_KEY: usize = 80;

/// The kind of a Secret follows from its keys, the first that is there, in Cilium's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `tls.crt` and `tls.key`: a chain and the key of its first certificate, PEM.
    Certificate {
        /// The chain.
        chain: &'a [u8],
        /// The key.
        key: &'a [u8],
    },
    /// `ca.crt`: whom to trust, PEM.
    Authority(&'a [u8]),
    /// `tls.sessionticket.key`; more of them are in [`ticket_keys`].
    TicketKeys(&'a [u8]),
    /// `generic`: any bytes.
    Generic(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// Understands a Secret.
    ///
    /// # Errors
    /// What is wrong with it, for a sentence that begins with its name. Holds nothing of its values.
    pub fn of(secret: &'a Secret) -> Result<Self, String> {
        let get = |key: &str| secret.data.get(key).map(Vec::as_slice);
        match (get("tls.crt"), get("tls.key")) {
            (Some(chain), Some(key)) => {
                check_pair(chain, key)?;
                return Ok(Self::Certificate { chain, key });
            }
            (Some(_), None) => return Err("has tls.crt, but no tls.key".to_owned()),
            (None, Some(_)) => return Err("has tls.key, but no tls.crt".to_owned()),
            (None, None) => {}
        }
        if let Some(authority) = get("ca.crt") {
            check_chain("ca.crt", authority)?;
            return Ok(Self::Authority(authority));
        }
        if let Some(first) = get("tls.sessionticket.key") {
            if first.len() != TICKET_KEY {
                return Err(format!("has a tls.sessionticket.key of {} bytes; it must be {TICKET_KEY}", first.len()));
            }
            return Ok(Self::TicketKeys(first));
        }
        get("generic")
            .map(Self::Generic)
            .ok_or_else(|| "has none of tls.crt with tls.key, ca.crt, tls.sessionticket.key, generic".to_owned())
    }
}

/// The session ticket keys of a Secret: the first encrypts, `.1` to `.9` also decrypt. Keys of a wrong length are left out.
pub fn ticket_keys(secret: &Secret) -> impl Iterator<Item = &[u8]> {
    let more = (1..=9).map(|at| format!("tls.sessionticket.key.{at}"));
    let names = std::iter::once("tls.sessionticket.key".to_owned()).chain(more);
    let keys = names.filter_map(|name| secret.data.get(&name).map(Vec::as_slice));
    keys.filter(|key| key.len() == TICKET_KEY)
}

fn check_chain(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("has no certificate in PEM in {name}")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("has a {name} that is not PEM: {error}")),
    }
}

/// What we cannot read is left to Envoy, which knows more kinds of keys than we do.
fn check_pair(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let chain = check_chain("tls.crt", chain)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "has no private key in PEM in tls.key; an encrypted one cannot be used".to_owned())?;
    let Ok(key) = any_supported_type(&key) else { return Ok(()) };
    match CertifiedKey::new(chain, key).keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("has a tls.key that is not the key of the first certificate in tls.crt".to_owned())
        }
        Err(Error::InvalidCertificate(error)) => Err(format!("has a tls.crt that is no certificate: {error}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Meta;

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
        Secret { meta: Meta::named("default", "s"), data }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn wrong(data: &[(&str, &[u8])]) -> String {
        Credential::of(&secret(data)).unwrap_err()
    }

    #[test]
    fn a_pair_belongs_together() {
        let ((chain, key), (_, other)) = (pair(), pair());
        let (chain, key, other) = (chain.as_bytes(), key.as_bytes(), other.as_bytes());
        let good = secret(&[("tls.crt", chain), ("tls.key", key), ("ca.crt", b"not looked at")]);
        assert_eq!(Credential::of(&good), Ok(Credential::Certificate { chain, key }));
        assert!(wrong(&[("tls.crt", chain), ("tls.key", other)]).contains("not the key of"));
        assert!(wrong(&[("tls.crt", chain), ("tls.key", b"nonsense")]).contains("no private key"));
        assert!(wrong(&[("tls.crt", b"nonsense"), ("tls.key", key)]).contains("no certificate in PEM in tls.crt"));
        assert!(wrong(&[("tls.crt", chain), ("ca.crt", chain)]).contains("no tls.key"));
    }

    #[test]
    fn the_other_kinds_follow_from_their_keys() {
        let (chain, _) = pair();
        let authority = secret(&[("ca.crt", chain.as_bytes()), ("generic", b"g")]);
        assert_eq!(Credential::of(&authority), Ok(Credential::Authority(chain.as_bytes())));
        assert_eq!(Credential::of(&secret(&[("generic", b"g")])), Ok(Credential::Generic(b"g")));
        assert!(wrong(&[("password", b"p")]).contains("has none of"));
    }

    #[test]
    fn ticket_keys_have_eighty_bytes() {
        let keys = secret(&[
            ("tls.sessionticket.key", &[1; 80]),
            ("tls.sessionticket.key.1", &[2; 79]),
            ("tls.sessionticket.key.2", &[3; 80]),
        ]);
        assert_eq!(Credential::of(&keys), Ok(Credential::TicketKeys(&[1; 80])));
        let first: Vec<_> = ticket_keys(&keys).map(|key| key[0]).collect();
        assert_eq!(first, [1, 3]);
        assert!(wrong(&[("tls.sessionticket.key", b"short")]).contains("5 bytes"));
    }
}
