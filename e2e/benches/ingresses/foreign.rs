//! Ingresses of another class: what they cost us.

use anyhow::{Context as _, Result};
use axoneme_e2e::Cluster;
use tokio::task::JoinSet;

use crate::{
    api::Api,
    http::first_200,
    objects::{GROUP, foreign, host, ingress},
    place::Place,
    usage::Usage,
};

/// Clients that write at the same time.
const CLIENTS: usize = 4;

/// Adds them, then one of our own; when that is served all of them were seen.
pub(crate) async fn add(cluster: &Cluster, api: &Api, place: &mut Place, count: usize) -> Result<Usage> {
    let before = Usage::now(cluster)?;
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let mut client = api.client().await?;
        clients.spawn(async move {
            for number in (first..count).step_by(CLIENTS) {
                client.create(GROUP, "ingresses", &foreign(&format!("foreign-{number}"))).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client.context("a client panicked")??;
    }
    api.client().await?.create(GROUP, "ingresses", &ingress("last", place.mode)).await?;
    let address = place.of("last").await?.plain;
    first_200(address, &host("last")).await?;
    Ok(Usage::now(cluster)?.since(&before))
}
