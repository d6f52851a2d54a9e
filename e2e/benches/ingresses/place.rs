//! Where Ingresses are asked: at node ports of the first node, from the machine that the cluster runs on.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axoneme_e2e::{Cluster, cluster::NAMESPACE as INSTALLED};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use crate::{
    api::{Api, NodePorts},
    http::first_200,
    objects::{GROUP, Mode, NAMESPACE, host, ingress},
};

const LIMIT: Duration = Duration::from_secs(60);
/// The Service of all Ingresses in shared mode.
const SHARED: &str = "cilium-ingress";

/// Both addresses of an Ingress.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) plain: SocketAddr,
    pub(crate) secure: SocketAddr,
}

/// The node and the mode.
pub(crate) struct Place {
    pub(crate) mode: Mode,
    node: IpAddr,
    /// In shared mode, of all.
    shared: Option<Ends>,
    services: UnboundedReceiver<NodePorts>,
}

impl Place {
    pub(crate) async fn find(cluster: &Cluster, api: &Api, mode: Mode) -> Result<Self> {
        let node = cluster.address("node1").parse()?;
        let namespace = if mode == Mode::Shared { INSTALLED } else { NAMESPACE };
        let mut place = Self { mode, node, shared: None, services: api.watch_services(namespace).await? };
        // The first one warms up what is there once, and in shared mode brings the Service.
        api.client().await?.create(GROUP, "ingresses", &ingress("first", mode)).await?;
        let ends = place.of("first").await?;
        first_200(ends.plain, &host("first")).await?;
        if mode == Mode::Shared {
            place.shared = Some(ends);
        }
        Ok(place)
    }

    /// Where an Ingress is asked, as soon as its Service is seen.
    pub(crate) async fn of(&mut self, ingress: &str) -> Result<Ends> {
        if let Some(shared) = self.shared {
            return Ok(shared);
        }
        let own = format!("cilium-ingress-{ingress}");
        let wanted = if self.mode == Mode::Shared { SHARED } else { &own };
        let found = async {
            loop {
                let ports = self.services.recv().await.context("the watch of Services ended")?;
                if ports.service == wanted {
                    return anyhow::Ok(ports);
                }
            }
        };
        let ports = timeout(LIMIT, found).await.with_context(|| format!("no {wanted} after {LIMIT:?}"))??;
        let at = |port| SocketAddr::new(self.node, port);
        Ok(Ends { plain: at(ports.plain), secure: at(ports.secure) })
    }
}
