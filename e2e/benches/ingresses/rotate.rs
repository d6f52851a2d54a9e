//! From the API server's answer to a Secret's update to the first handshake with the new certificate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::{
    api::Api,
    objects::{GROUP, host, secure},
    place::Place,
};

const NAME: &str = "rotated";
const ATTEMPT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_micros(500);
const LIMIT: Duration = Duration::from_secs(60);

/// The time of each rotation.
pub(crate) async fn time(api: &Api, place: &mut Place, count: usize) -> Result<Vec<Duration>> {
    let make = |_| generate_simple_self_signed([host(NAME)]).context("no certificate");
    let all = (0..=count).map(make).collect::<Result<Vec<_>>>()?;
    let client = Handshakes::trusting(&all)?;
    let mut server = api.client().await?;
    let (first, rest) = all.split_first().context("no certificate")?;
    server.create("/api/v1", "secrets", &secret(first)).await?;
    server.create(GROUP, "ingresses", &secure(NAME, place.mode)).await?;
    let address = place.of(NAME).await?.secure;
    client.until(address, first.cert.der()).await?;
    let mut times = Vec::with_capacity(count);
    for next in rest {
        server.merge("/api/v1", &format!("secrets/{NAME}"), &secret(next)).await?;
        let start = Instant::now();
        client.until(address, next.cert.der()).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn secret(pair: &CertifiedKey<KeyPair>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
    })
}

/// A client that makes handshakes and asks for nothing.
struct Handshakes(TlsConnector);

impl Handshakes {
    fn trusting(all: &[CertifiedKey<KeyPair>]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for pair in all {
            roots.add(pair.cert.der().clone())?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    async fn until(&self, address: SocketAddr, wanted: &CertificateDer<'_>) -> Result<()> {
        let start = Instant::now();
        loop {
            let served = timeout(ATTEMPT, self.certificate(address)).await;
            if let Ok(Ok(served)) = &served
                && served == wanted
            {
                return Ok(());
            }
            ensure!(start.elapsed() < LIMIT, "the new certificate is not served: {served:?}");
            sleep(PAUSE).await;
        }
    }

    async fn certificate(&self, address: SocketAddr) -> Result<CertificateDer<'static>> {
        let stream = TcpStream::connect(address).await?;
        let stream = self.0.connect(ServerName::try_from(host(NAME))?, stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        Ok(chain.and_then(<[_]>::first).context("no certificate")?.clone().into_owned())
    }
}
