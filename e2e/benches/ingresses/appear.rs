//! From the API server's answer to an Ingress to the first 200 for it, one Ingress after the other.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::{
    api::Api,
    http::first_200,
    objects::{GROUP, host, ingress},
    others::Others,
    place::Place,
};

/// What one Ingress took.
pub(crate) struct Appeared {
    /// The API server's own answer.
    pub(crate) answered: Duration,
    /// From there until its Service is seen; nothing where all share one.
    pub(crate) service: Duration,
    /// From there until the first 200.
    pub(crate) served: Duration,
}

/// Adds them, and asks the first ones all the while.
pub(crate) async fn one_by_one(
    api: &Api,
    place: &mut Place,
    count: usize,
    others: &mut Others,
) -> Result<Vec<Appeared>> {
    let mut client = api.client().await?;
    let mut appeared = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("web-{number}");
        let object = ingress(&name, place.mode);
        let start = Instant::now();
        client.create(GROUP, "ingresses", &object).await?;
        let answered = Instant::now();
        let address = place.of(&name).await?.plain;
        let service = answered.elapsed();
        let served = first_200(address, &host(&name)).await?.duration_since(answered);
        appeared.push(Appeared { answered: answered - start, service, served });
        others.ask(address, host(&name));
    }
    Ok(appeared)
}
