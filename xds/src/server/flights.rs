//! Responses on their way, so that an answer to one finds the resources that it is about.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::{Key, Resource, Response};

/// The responses that are not answered yet. Of each name only the latest is kept, so a client that never answers
/// costs one entry per name.
#[derive(Debug, Default)]
pub(super) struct Flights {
    nonce: u64,
    flying: HashMap<u64, Flight>,
    latest: HashMap<Key, u64>,
}

/// One response: some names of one type.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) type_url: Arc<str>,
    pub(super) names: BTreeSet<Arc<str>>,
    /// None: a removal.
    pub(super) version: Option<Arc<str>>,
}

impl Flights {
    /// A response with a resource. One each: Envoy drops the whole response when one of its resources does not
    /// decode, and does not say which.
    pub(super) fn resource(&mut self, resource: &Resource) -> Response {
        let names = BTreeSet::from([resource.name.clone()]);
        let version = Some(resource.version.clone());
        let nonce = self.depart(Flight { type_url: resource.type_url.clone(), names, version });
        Response {
            type_url: resource.type_url.to_string(),
            nonce,
            resources: vec![resource.to_wire()],
            ..Response::default()
        }
    }

    /// A response that removes names.
    pub(super) fn removal(&mut self, type_url: &Arc<str>, names: BTreeSet<Arc<str>>) -> Response {
        let removed_resources = names.iter().map(ToString::to_string).collect();
        let nonce = self.depart(Flight { type_url: type_url.clone(), names, version: None });
        Response { type_url: type_url.to_string(), nonce, removed_resources, ..Response::default() }
    }

    /// A response that says that there is nothing.
    pub(super) fn nothing(&mut self, type_url: &Arc<str>) -> Response {
        self.nonce += 1;
        Response { type_url: type_url.to_string(), nonce: self.nonce.to_string(), ..Response::default() }
    }

    fn depart(&mut self, flight: Flight) -> String {
        self.nonce += 1;
        for name in &flight.names {
            let key = (flight.type_url.clone(), name.clone());
            if let Some(overtaken) = self.latest.insert(key, self.nonce) {
                self.forget(overtaken, name);
            }
        }
        self.flying.insert(self.nonce, flight);
        self.nonce.to_string()
    }

    fn forget(&mut self, nonce: u64, name: &Arc<str>) {
        let Some(flight) = self.flying.get_mut(&nonce) else { return };
        flight.names.remove(name);
        if flight.names.is_empty() {
            self.flying.remove(&nonce);
        }
    }

    /// The response that a nonce answers, without the names that a later response has overtaken.
    pub(super) fn land(&mut self, type_url: &str, nonce: &str) -> Option<Flight> {
        let nonce = nonce.parse().ok()?;
        if &*self.flying.get(&nonce)?.type_url != type_url {
            return None;
        }
        let flight = self.flying.remove(&nonce)?;
        for name in &flight.names {
            self.latest.remove(&(flight.type_url.clone(), name.clone()));
        }
        Some(flight)
    }
}

#[cfg(test)]
impl Flights {
    /// Responses and names that are on their way.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.flying.len(), self.latest.len())
    }
}
