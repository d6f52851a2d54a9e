//! The operator's side: how the node reaches it, and what it asks it for.

use std::{io, path::Path, sync::Arc};

use axoneme_api::intent::REDIRECT;
use axoneme_xds::{
    Client, Resource,
    grpc::endpoint,
    proto::Node,
    type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SCOPED_ROUTE, SECRET},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::{Channel, Uri},
};

use crate::config::{Endpoint, Operator};

/// What a node asks for, what is referred to before what refers to it.
const TYPES: [&str; 7] = [SECRET, ENDPOINTS, CLUSTER, ROUTE, SCOPED_ROUTE, LISTENER, REDIRECT];

/// The port of the operator when its address has none.
const DEFAULT_PORT: u16 = 443;

/// A client that holds what an earlier run had in force. `features` is what the node can do.
#[must_use]
pub(crate) fn client(node: &str, features: Vec<String>, held: impl IntoIterator<Item = Resource>) -> Client {
    let (id, user_agent_name) = (node.to_owned(), "axoneme-node".to_owned());
    let node = Node { id, user_agent_name, client_features: features, ..Node::default() };
    Client::new(node, TYPES).with_held(held)
}

/// A channel to the operator. Nothing is connected yet.
#[must_use]
pub(crate) fn channel(operator: &Operator) -> Channel {
    match operator {
        Operator::Channel(channel) => channel.clone(),
        Operator::Endpoint(to) => {
            let ca_file: Arc<Path> = to.ca_file.as_path().into();
            let connect = move |address: Uri| {
                let ca_file = ca_file.clone();
                async move { tls(&address, &ca_file).await.map(TokioIo::new) }
            };
            endpoint(to.address.clone().into()).connect_with_connector_lazy(tower::service_fn(connect))
        }
    }
}

/// The headers of a stream: the token as it is on disk now, as the kubelet renews it.
pub(crate) fn metadata(operator: Operator) -> impl FnMut() -> Result<MetadataMap, String> + Send {
    move || {
        let mut metadata = MetadataMap::new();
        if let Operator::Endpoint(Endpoint { token_file: Some(file), .. }) = &operator {
            let token = std::fs::read_to_string(file).map_err(|error| format!("token {}: {error}", file.display()))?;
            let mut value = AsciiMetadataValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| format!("token {}: holds what is no token", file.display()))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        Ok(metadata)
    }
}

/// A TLS connection. The authorities are read anew each time: the operator renews its own.
async fn tls(address: &Uri, ca_file: &Path) -> io::Result<TlsStream<TcpStream>> {
    let host = address.host().ok_or_else(|| invalid(format!("{address} names no host")))?;
    let port = address.port_u16().unwrap_or(DEFAULT_PORT);
    let config = client_config(ca_file)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| invalid(format!("{host}: {error}")))?;
    let stream = TcpStream::connect((bare, port)).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn client_config(ca_file: &Path) -> io::Result<ClientConfig> {
    let wrong = |what: &dyn std::fmt::Display| invalid(format!("authorities {}: {what}", ca_file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(&error))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_at_every_connect() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut metadata = metadata(Operator::Endpoint(Endpoint {
            address: Uri::from_static("https://operator"),
            ca_file: folder.path().join("ca"),
            token_file: Some(file.clone()),
        }));
        assert!(metadata().unwrap_err().contains("token"));
        for token in ["one", "two"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            assert_eq!(metadata().unwrap().get("authorization").unwrap(), format!("Bearer {token}").as_str());
        }
    }

    /// A server that shows the certificate of `cert`, once for each client.
    async fn server(identity: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Uri {
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
        let mut config = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust us ends the handshake.
                let _ = acceptor.accept(stream).await;
            }
        });
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn only_the_authorities_of_the_moment_are_trusted() {
        let [old, new] = [(), ()].map(|()| rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap());
        let address = server(&new).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, old.cert.pem()).unwrap();
        let error = tls(&address, &file).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
        // The operator's authority was renewed: both stand in the file.
        std::fs::write(&file, old.cert.pem() + &new.cert.pem()).unwrap();
        let stream = tls(&address, &file).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, "").unwrap();
        let error = client_config(&file).unwrap_err().to_string();
        assert!(error.contains("ca.crt") && error.contains("no certificate"), "{error}");
    }
}
