//! The same web server over TLS, with or without a client certificate.

use std::{io, path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use crate::{Backend, web};

pub(crate) fn acceptor(certificate: &Path, key: &Path, clients: Option<&Path>) -> anyhow::Result<TlsAcceptor> {
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("read {}", key.display()))?;
    let builder = match clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(chain(path)?);
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain(certificate)?, key).context("use the certificate")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain: Result<_, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    chain.with_context(|| format!("read {}", path.display()))
}

pub(crate) async fn serve(acceptor: TlsAcceptor, backend: Arc<Backend>, stream: TcpStream) -> io::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let session = stream.get_ref().1;
    let tls = web::Tls {
        server_name: session.server_name().map(str::to_owned),
        client_certificate: session.peer_certificates().is_some(),
    };
    web::serve(backend, stream, tls).await
}
