//! The API server by way of `kubectl proxy`, which does the TLS and the credentials; it adds about half a millisecond.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::Cluster;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    header::{CONTENT_TYPE, HOST},
};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{http::Connection, objects::NAMESPACE};

/// A proxy that ends with this.
pub(crate) struct Api {
    address: SocketAddr,
    proxy: Child,
}

impl Drop for Api {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// The node ports of a Service of ours.
pub(crate) struct NodePorts {
    pub(crate) service: String,
    pub(crate) plain: u16,
    pub(crate) secure: u16,
}

impl Api {
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let mut command = cluster.kubectl_command();
        let mut proxy = command.args(["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().context("kubectl proxy")?;
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().and_then(|word| word.parse().ok());
        let api = Self { address: address.with_context(|| format!("kubectl proxy said {line:?}"))?, proxy };
        api.client().await?.get("/readyz").await?;
        Ok(api)
    }

    /// A connection to it.
    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(Client { connection: Connection::open(self.address).await? })
    }

    /// Node ports as the Services of a namespace get them, the present ones first.
    pub(crate) async fn watch_services(&self, namespace: &str) -> Result<UnboundedReceiver<NodePorts>> {
        let mut connection = Connection::open(self.address).await?;
        let path = format!("/api/v1/namespaces/{namespace}/services?watch=true");
        let request = Request::get(path).header(HOST, "localhost").body(Full::default())?;
        let mut body = connection.send(request).await?.into_body();
        let (ports, received) = unbounded_channel();
        tokio::spawn(async move {
            let _kept = connection;
            let mut buffer = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    if let Some(port) = serde_json::from_slice(&line).ok().as_ref().and_then(node_ports) {
                        let _ = ports.send(port);
                    }
                }
            }
        });
        Ok(received)
    }
}

fn node_ports(event: &Value) -> Option<NodePorts> {
    let port = |index: usize| event["object"]["spec"]["ports"][index]["nodePort"].as_u64()?.try_into().ok();
    let service = event["object"]["metadata"]["name"].as_str()?.to_owned();
    Some(NodePorts { service, plain: port(0)?, secure: port(1)? })
}

/// A connection to the API server.
pub(crate) struct Client {
    connection: Connection,
}

impl Client {
    pub(crate) async fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.send(Request::get(path), "application/json", String::new()).await
    }

    /// Creates an object of the bench's namespace.
    pub(crate) async fn create(&mut self, group: &str, kind: &str, object: &Value) -> Result<()> {
        let path = format!("{group}/namespaces/{NAMESPACE}/{kind}");
        self.send(Request::post(path), "application/json", object.to_string()).await.map(drop)
    }

    /// Merges a change into one.
    pub(crate) async fn merge(&mut self, group: &str, object: &str, change: &Value) -> Result<()> {
        let path = format!("{group}/namespaces/{NAMESPACE}/{object}");
        self.send(Request::patch(path), "application/merge-patch+json", change.to_string()).await.map(drop)
    }

    async fn send(&mut self, request: hyper::http::request::Builder, kind: &str, body: String) -> Result<Vec<u8>> {
        let request = request.header(HOST, "localhost").header(CONTENT_TYPE, kind).body(Full::from(body))?;
        let path = request.uri().to_string();
        let response = self.connection.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}
