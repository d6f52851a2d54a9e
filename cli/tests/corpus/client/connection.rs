//! A connection, plain or with TLS.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::{Question, Scheme};
use crate::certificates::Pair;

/// Whom the client trusts, and who it is itself.
#[derive(Clone)]
pub(crate) struct Tls {
    /// PEM.
    pub(crate) authority: String,
    pub(crate) own: Option<Pair>,
}

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects; `protocols` are for ALPN.
pub(super) async fn connect(question: &Question, protocols: &[&str]) -> Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(question.to).await.context("connect")?;
    if !Scheme::of(&question.url).is_secure() {
        return Ok(Box::new(stream));
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(question.tls.authority.as_bytes())?)?;
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match &question.tls.own {
        None => builder.with_no_client_auth(),
        Some(Pair { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(question.host.clone())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("TLS handshake")?;
    Ok(Box::new(stream))
}
