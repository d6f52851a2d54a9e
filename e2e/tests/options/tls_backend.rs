//! A server outside of the cluster that ends TLS itself, and the Service that leads to it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    Answer,
    cluster::NODES,
    theme::{Place, SOON},
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Its name in the cluster.
pub(crate) const NAME: &str = "through";

/// Starts one on this machine with the certificate of a Secret that the cluster does not have, and makes the Service
/// `through`, port 443, for it. It answers with the address that the client's connection came from, until the process ends.
pub(crate) fn start(place: &Place<'_>, secret: &Value) -> Result<()> {
    let address = place.cluster.underlay(1);
    let port = serve(&address, secret)?.port();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": {"ports": [{"port": 443}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "endpoints": [{"addresses": [address]}], "ports": [{"name": "", "port": port}],
    });
    [service, slice].iter().try_for_each(|object| place.cluster.apply(&place.namespace, &object.to_string()))
}

/// The backend answered, and not Envoy, which passed the connection on from a node.
///
/// # Errors
/// Another answer.
pub(crate) fn answered(place: &Place<'_>, answer: &Answer) -> Result<()> {
    let nodes = NODES.map(|node| place.cluster.address(node) + "\n");
    ensure!(answer.status == 200 && !answer.by_envoy() && nodes.contains(&answer.body), "{answer:?}");
    Ok(())
}

fn serve(address: &str, secret: &Value) -> Result<SocketAddr> {
    let pem = |name: &str| secret["stringData"][name].as_str().unwrap_or_default().as_bytes().to_vec();
    let certificate = CertificateDer::from_pem_slice(&pem("tls.crt"))?;
    let key = PrivateKeyDer::from_pem_slice(&pem("tls.key"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    let (listener, config) = (TcpListener::bind((address, 0)).context("no backend")?, Arc::new(config));
    let bound = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            // A client that leaves early is no concern of the next one.
            thread::spawn(move || answer(connection, config));
        }
    });
    Ok(bound)
}

fn answer(connection: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    let peer = connection.peer_addr()?.ip();
    connection.set_read_timeout(Some(SOON))?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, connection);
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the client left");
        request.extend_from_slice(&piece[..read]);
    }
    let body = format!("{peer}\n");
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}
