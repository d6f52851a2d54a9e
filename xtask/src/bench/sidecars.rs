//! The way that sidecars go: an Envoy in the client's pod and one in the backend's, each with a rule of nftables that leads to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use axoneme_testnet::{Namespace, Process};

/// Where the sidecars listen, by the custom of such meshes.
const OUTBOUND: u16 = 15_001;
const INBOUND: u16 = 15_006;

/// Both of them. Dropping it ends them; their rules end with their pods.
pub(super) struct Sidecars {
    client: Process,
    backend: Process,
}

impl Sidecars {
    /// Puts both in place: what the client sends to `service` goes by them to `backend`, a server of the second pod.
    pub(super) fn start(envoy: &Path, pods: [&Namespace; 2], service: SocketAddr, backend: SocketAddr) -> Result<Self> {
        let [client, server] = pods;
        // A port of its own, so that the other ways are not redirected.
        let taken = SocketAddr::new(backend.ip(), backend.port() + 1);
        client.nft(&rule("output", service, OUTBOUND))?;
        server.nft(&rule("prerouting", taken, INBOUND))?;
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), backend.port());
        Ok(Self {
            client: client.spawn(envoy, arguments(&config("outbound", OUTBOUND, taken)))?,
            backend: server.spawn(envoy, arguments(&config("inbound", INBOUND, local)))?,
        })
    }

    /// Their process ids.
    pub(super) fn ids(&self) -> [u32; 2] {
        [self.client.id(), self.backend.id()]
    }
}

fn rule(hook: &str, to: SocketAddr, port: u16) -> String {
    format!(
        "table ip sidecar {{
  chain {hook} {{ type nat hook {hook} priority -100;
    ip daddr {} tcp dport {} redirect to :{port}
  }}
}}
",
        to.ip(),
        to.port()
    )
}

fn config(name: &str, listen: u16, next: SocketAddr) -> String {
    include_str!("sidecar.yaml")
        .replace("NAME", name)
        .replace("LISTEN", &listen.to_string())
        .replace("NEXT_ADDRESS", &next.ip().to_string())
        .replace("NEXT_PORT", &next.port().to_string())
}

/// As many workers as the mesh's Envoy has.
fn arguments(config: &str) -> [&str; 7] {
    ["--config-yaml", config, "--disable-hot-restart", "--log-level", "warning", "--concurrency", "2"]
}
