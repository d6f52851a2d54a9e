//! A client that trusts the authority connects, any other is refused; checked by real handshakes.

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, crypto::ring::default_provider,
    pki_types::ServerName,
};

use super::*;

/// Shakes hands in memory.
fn handshake(leaf: &Arc<Leaf>, trusted: &str, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(leaf) as _);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trusted.as_bytes()) {
        roots.add(certificate.unwrap())?;
    }
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

fn leaf(authority: Authority) -> Arc<Leaf> {
    Arc::new(Leaf::new(authority, Leaf::service_names("axoneme-operator", "mesh")).unwrap())
}

#[test]
fn a_client_that_trusts_the_authority_connects_by_every_name() {
    let authority = Authority::generate().unwrap();
    let trusted = authority.certificate_pem().to_owned();
    let leaf = leaf(authority);
    for name in Leaf::service_names("axoneme-operator", "mesh") {
        handshake(&leaf, &trusted, &name).unwrap();
    }
}

#[test]
fn another_name_or_another_authority_is_refused() {
    let authority = Authority::generate().unwrap();
    let trusted = authority.certificate_pem().to_owned();
    let leaf = leaf(authority);
    handshake(&leaf, &trusted, "axoneme-operator.other.svc").unwrap_err();
    let foreign = Authority::generate().unwrap();
    handshake(&leaf, foreign.certificate_pem(), "axoneme-operator.mesh.svc").unwrap_err();
}

#[test]
fn a_stored_authority_issues_what_the_first_one_would() {
    let first = Authority::generate().unwrap();
    let restarted = Authority::from_pem(first.certificate_pem(), &first.key_pem()).unwrap();
    handshake(&leaf(restarted), first.certificate_pem(), "axoneme-operator.mesh.svc").unwrap();
}

#[test]
fn a_bundle_accepts_replicas_with_the_old_and_the_new_authority() {
    let (old, new) = (Authority::generate().unwrap(), Authority::generate().unwrap());
    let trusted = bundle(new.certificate_pem(), old.certificate_pem());
    for authority in [old, new] {
        handshake(&leaf(authority), &trusted, "axoneme-operator.mesh.svc").unwrap();
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, other) = (Authority::generate().unwrap(), Authority::generate().unwrap());
    assert!(matches!(Authority::from_pem(one.certificate_pem(), &other.key_pem()), Err(CaError::Mismatch(_))));
}
