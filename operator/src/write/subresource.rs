//! Whether the definitions on the cluster have a status at all: Cilium's own have none.
//!
//! Asked by discovery, which everybody may read. Nothing is ever written to a status that is not there; Events carry it
//! (`announce`).

use std::time::{Duration, Instant};

use axoneme_api::cec::CiliumEnvoyConfig;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource as _};
use parking_lot::Mutex;

use crate::source::Kind;

/// A definition without a status is looked at again after so long: an upgrade may bring one.
const AGAIN: Duration = Duration::from_secs(10);
const KINDS: [(Kind, &str); 2] = [
    (Kind::CiliumEnvoyConfig, "ciliumenvoyconfigs/status"),
    (Kind::CiliumClusterwideEnvoyConfig, "ciliumclusterwideenvoyconfigs/status"),
];

/// What discovery said last.
#[derive(Debug, Default)]
pub(super) struct Subresources(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    absent: Vec<Kind>,
    asked: Option<Instant>,
}

impl Subresources {
    /// Whether objects of this kind have a status. Asks the API server the first time.
    ///
    /// # Errors
    /// What the API server said.
    pub(super) async fn has(&self, client: &Client, kind: Kind) -> Result<bool, kube::Error> {
        if self.0.lock().asked.is_none() {
            self.ask(client).await?;
        }
        Ok(!self.0.lock().absent.contains(&kind))
    }

    /// Asks again. Gives whether a kind has a status that had none.
    ///
    /// # Errors
    /// What the API server said.
    pub(super) async fn ask(&self, client: &Client) -> Result<bool, kube::Error> {
        let list = client.list_api_group_resources(&CiliumEnvoyConfig::api_version(&())).await?;
        Ok(self.0.lock().learn(&list, Instant::now()))
    }

    /// When to ask again: never, as long as every kind has a status.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let found = self.0.lock();
        found.asked.filter(|_| !found.absent.is_empty()).map(|asked| asked + AGAIN)
    }

    /// The API server did not answer: not before some time.
    pub(super) fn postpone(&self) {
        self.0.lock().asked = Some(Instant::now());
    }
}

impl Found {
    fn learn(&mut self, list: &APIResourceList, now: Instant) -> bool {
        let is_absent = |name: &str| list.resources.iter().all(|resource| resource.name != name);
        let absent: Vec<_> = KINDS.into_iter().filter(|(_, name)| is_absent(name)).map(|(kind, _)| kind).collect();
        for kind in absent.iter().filter(|kind| !self.absent.contains(kind)) {
            tracing::warn!(%kind, "the definition of this kind has no status subresource; Events carry what would stand there");
        }
        let came = self.absent.iter().any(|kind| !absent.contains(kind));
        (self.absent, self.asked) = (absent, Some(now));
        came
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::*;

    fn list(names: &[&str]) -> APIResourceList {
        let resource = |name: &&str| APIResource { name: (*name).to_owned(), ..APIResource::default() };
        APIResourceList { group_version: "cilium.io/v2".to_owned(), resources: names.iter().map(resource).collect() }
    }

    #[test]
    fn a_status_that_comes_is_told_once_and_then_never_looked_for_again() {
        let subresources = Subresources::default();
        let now = Instant::now();
        let cilium = list(&["ciliumenvoyconfigs", "ciliumclusterwideenvoyconfigs"]);
        assert!(!subresources.0.lock().learn(&cilium, now));
        assert_eq!(subresources.next_look(), Some(now + AGAIN));
        let ours = list(&["ciliumenvoyconfigs/status", "ciliumclusterwideenvoyconfigs/status"]);
        assert!(subresources.0.lock().learn(&ours, now));
        assert!(!subresources.0.lock().learn(&ours, now));
        assert_eq!(subresources.next_look(), None);
    }
}
