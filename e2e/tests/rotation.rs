//! A certificate rotates: the next handshakes have the new one, and connections stay, those of this name and those of others.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{Cluster, certificates::tls_secret, curl::Request, scenario, until};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

const NAMESPACE: &str = "e2e-rotation";
const SOON: Duration = Duration::from_secs(30);

/// A connection that stays open.
struct Kept {
    host: &'static str,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Kept {
    /// This machine is in the network of the nodes, and outside of the cluster.
    fn open(cluster: &Cluster, address: &str, host: &'static str, secret: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cluster.certificate(NAMESPACE, secret)?)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
        let socket = TcpStream::connect((address, 443))?;
        socket.set_read_timeout(Some(SOON))?;
        let mut kept = Self { host, stream: StreamOwned::new(client, socket) };
        kept.answers().context("the first time")?;
        Ok(kept)
    }

    /// Asks once more on the same connection.
    fn answers(&mut self) -> Result<()> {
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).context("the connection is closed")?;
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"web\n") {
            let read = self.stream.read(&mut piece).context("no answer")?;
            ensure!(read > 0, "the connection is closed");
            answer.extend_from_slice(&piece[..read]);
        }
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{}: {answer}", self.host);
        Ok(())
    }
}

#[test]
fn a_certificate_rotates_and_connections_stay() -> Result<()> {
    scenario("rotation", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        for host in ["mine", "other"] {
            cluster.apply(NAMESPACE, &tls_secret(host, &[&format!("{host}.example")])?.to_string())?;
        }
        cluster.apply(NAMESPACE, include_str!("manifests/rotation.yaml"))?;
        cluster.ready(NAMESPACE)?;
        let address = cluster.ingress_address(NAMESPACE, "web")?;
        for name in ["mine", "other"] {
            has_its_certificate(cluster, &address, name)?;
        }
        let mut kept = [
            Kept::open(cluster, &address, "mine.example", "mine")?,
            Kept::open(cluster, &address, "other.example", "other")?,
        ];
        for _ in 0..3 {
            cluster.apply(NAMESPACE, &tls_secret("mine", &["mine.example"])?.to_string())?;
            has_its_certificate(cluster, &address, "mine")?;
            for connection in &mut kept {
                connection.answers().with_context(|| format!("{} after the rotation", connection.host))?;
            }
        }
        has_its_certificate(cluster, &address, "other")?;
        cluster.leave(NAMESPACE)
    })
}

/// The certificate that is in the Secret now is served, and no other would be trusted.
fn has_its_certificate(cluster: &Cluster, address: &str, name: &str) -> Result<()> {
    let trusted = cluster.certificate(NAMESPACE, name)?;
    let url = format!("https://{name}.example/");
    until(&format!("{name}.example has the certificate of its Secret"), SOON, || {
        let answer = cluster.curl(Request::get(&url, address).trust(&trusted))?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
}
