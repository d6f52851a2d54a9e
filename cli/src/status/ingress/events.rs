//! The Events that the operator wrote of one Ingress.

use anyhow::{Context as _, Result};
use axoneme_api::names;
use k8s_openapi::{api::core::v1 as core, jiff::Timestamp};
use kube::{Api, api::ListParams};
use serde::Serialize;

use crate::explain::world::cluster::{Access, plain};

/// One Event, or a series of the same.
#[derive(Serialize)]
pub(super) struct Event {
    /// When it was seen last, as RFC 3339.
    pub(super) last: Option<String>,
    pub(super) count: i32,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// Reads those of the Ingress with this `uid`, if it is known; the oldest first. `None` when that is not permitted.
pub(super) async fn read(
    access: &Access,
    namespace: &str,
    name: &str,
    uid: Option<&str>,
) -> Result<Option<Vec<Event>>> {
    let operator = names::FIELD_MANAGER;
    let ours = format!("involvedObject.kind=Ingress,involvedObject.name={name},reportingComponent={operator}");
    let api = Api::<core::Event>::namespaced(access.client().await?, namespace);
    let found = match api.list(&ListParams::default().fields(&ours)).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
        Err(error) => return Err(plain(error)).context("cannot list Events"),
    };
    // An Ingress that was made anew under the same name is another one.
    let of_it = found.items.into_iter().filter(|event| uid.is_none() || event.involved_object.uid.as_deref() == uid);
    let mut events: Vec<_> = of_it.map(event).collect();
    events.sort_by_key(|(last, _)| *last);
    Ok(Some(events.into_iter().map(|(_, event)| event).collect()))
}

fn event(event: core::Event) -> (Option<Timestamp>, Event) {
    let series = event.series.as_ref();
    let last =
        series.and_then(|series| series.last_observed_time.as_ref()).or(event.event_time.as_ref()).map(|it| it.0);
    let told = Event {
        last: last.map(|last| last.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        count: series.and_then(|series| series.count).unwrap_or(1),
        type_: event.type_.unwrap_or_default(),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    };
    (last, told)
}
