//! TLS passthrough beside a host that is served: its backend, a server outside of the cluster, has the certificate.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    certificates::tls_secret,
    cluster::NODES,
    curl::Request,
    theme::{SOON, Theme, served_by},
    until,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

pub(crate) const THEME: Theme = Theme {
    name: "passthrough",
    backends: &[("echo", &[80])],
    manifest: || Ok(tls_secret("served", &["served.example"])?.to_string()),
    holds: |place| {
        let cluster = place.cluster;
        // No Secret of the cluster: only its author's.
        let own = tls_secret("own", &["through.example"])?;
        let port = serve(&cluster.underlay(1), &own)?.port();
        for object in objects(&cluster.underlay(1), port) {
            cluster.apply(&place.namespace, &object.to_string())?;
        }
        let address = place.address("web")?;
        let trusted = tempfile::NamedTempFile::new()?.into_temp_path();
        fs::write(&trusted, own["stringData"]["tls.crt"].as_str().unwrap_or_default())?;
        let nodes = NODES.map(|node| cluster.address(node) + "\n");
        until(&format!("{}: the backend ends TLS itself", place.namespace), SOON, || {
            let answer = cluster.curl(Request::get("https://through.example/", &address).trust(&trusted))?;
            ensure!(answer.status == 200 && !answer.by_envoy() && nodes.contains(&answer.body), "{answer:?}");
            Ok(())
        })?;
        place.until(Request::get("http://through.example/", &address), |answer| {
            ensure!(answer.status == 308, "not sent to https");
            Ok(())
        })?;
        let served = cluster.certificate(&place.namespace, "served")?;
        let beside = Request::get("https://served.example/", &address).trust(&served);
        place.until(beside, |answer| served_by("echo", answer, "/")).map(drop)
    },
};

/// An Ingress for both hosts, and a Service whose backend is this machine.
fn objects(backend: &str, port: u16) -> [Value; 3] {
    let path = |service: &str, port: u16| {
        let service = json!({"name": service, "port": {"number": port}});
        json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]})
    };
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "through"}, "spec": {"ports": [{"port": 443}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "through", "labels": {"kubernetes.io/service-name": "through"}},
            "endpoints": [{"addresses": [backend]}], "ports": [{"name": "", "port": port}],
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "annotations": {"ingress.axoneme.io/tls-passthrough": "through.example"}},
            "spec": {
                "ingressClassName": "axoneme",
                "tls": [{"hosts": ["served.example"], "secretName": "served"}],
                "rules": [
                    {"host": "through.example", "http": path("through", 443)},
                    {"host": "served.example", "http": path("echo", 80)},
                ],
            },
        }),
    ]
}

/// Answers every request with the address that the client's connection came from, until the process ends.
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
