//! The client side of delta discovery: what is held, what is asked for, what is answered.
//!
//! An answer may come long after the update, in any order, and even after the stream that brought the update has ended:
//! an ACK says that the resource is in force, not that it was read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::proto::{DiscoveredResource, Node, Status};
use crate::{Change, Key, Request, Resource, Response};

/// One change that the server asks for. Settle its receipt with [`Client::settle`] once it is in force or refused.
#[derive(Debug)]
#[must_use = "an update that is never settled is never acknowledged"]
pub struct Update {
    /// To be given back.
    pub receipt: Receipt,
    /// The resource's type.
    pub type_url: Arc<str>,
    /// The resource's name.
    pub name: Arc<str>,
    /// What to do.
    pub change: Change,
}

/// The right to settle one update, once. It outlives its stream.
#[derive(Debug)]
#[must_use = "settle it"]
pub struct Receipt {
    key: Key,
    /// None: a removal.
    version: Option<Arc<str>>,
    /// Counts updates over all streams, so that the later of two is known.
    seq: u64,
    epoch: u64,
    nonce: Arc<str>,
}

/// What a response amounts to.
#[derive(Debug)]
pub struct Received {
    /// In the order of the response.
    pub updates: Vec<Update>,
    /// To be sent at once: the ACK of a response without updates.
    pub request: Option<Request>,
}

/// The state of one subscription to everything of some types.
#[derive(Debug)]
pub struct Client {
    node: Node,
    types: Vec<Arc<str>>,
    entries: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    /// Responses of this stream that still wait for settlements.
    unanswered: HashMap<Arc<str>, Unanswered>,
    seq: u64,
    /// Counts streams.
    epoch: u64,
}

/// What is known of one name. It exists from the first update on until a removal is the last word.
#[derive(Debug)]
struct Entry {
    /// The version in force.
    held: Option<Arc<str>>,
    /// The update that `held` is the result of; earlier ones have no say any more.
    decided: u64,
    /// The last update that was handed out.
    latest: u64,
    /// Updates that wait to be settled. They settle in any order, so any one of them may be what is really in force.
    open: u64,
}

#[derive(Debug)]
struct Unanswered {
    updates: usize,
    errors: Vec<String>,
}

impl Client {
    /// A client that holds nothing yet and wants everything of `types`, asked for in that order.
    pub fn new(node: Node, types: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        Self {
            node,
            types: types.into_iter().map(Into::into).collect(),
            entries: BTreeMap::new(),
            unanswered: HashMap::new(),
            seq: 0,
            epoch: 0,
        }
    }

    /// The same, with resources that are in force already, from a disk for one. The server sends what differs.
    pub fn with_held(mut self, held: impl IntoIterator<Item = Resource>) -> Self {
        for resource in held {
            let entry = Entry { held: Some(resource.version), decided: 0, latest: 0, open: 0 };
            self.entries.entry(resource.type_url).or_default().insert(resource.name, entry);
        }
        self
    }

    /// Says what the node can do, from the next stream on. True if that is not what was said before.
    pub fn set_features(&mut self, features: Vec<String>) -> bool {
        std::mem::replace(&mut self.node.client_features, features) != self.node.client_features
    }

    /// Begins a stream: the requests to send, one per type.
    ///
    /// They say what is held. A name with an update that is not settled, or that never had a good version, is reported
    /// with an empty version: the server then sends it again or says that it is gone.
    pub fn connect(&mut self) -> Vec<Request> {
        self.epoch += 1;
        self.unanswered.clear();
        let first = |(index, type_url): (usize, &Arc<str>)| Request {
            node: (index == 0).then(|| self.node.clone()),
            type_url: type_url.to_string(),
            resource_names_subscribe: vec!["*".to_owned()],
            initial_resource_versions: self.reported(type_url),
            ..Request::default()
        };
        self.types.iter().enumerate().map(first).collect()
    }

    fn reported(&self, type_url: &str) -> BTreeMap<String, String> {
        let version = |entry: &Entry| match &entry.held {
            Some(held) if entry.open == 0 => held.to_string(),
            _ => String::new(),
        };
        let entries = self.entries.get(type_url).into_iter().flatten();
        entries.map(|(name, entry)| (name.to_string(), version(entry))).collect()
    }

    /// Takes a response in: O(its resources).
    pub fn on_response(&mut self, response: Response) -> Received {
        let nonce: Arc<str> = response.nonce.into();
        let type_url: Arc<str> = response.type_url.into();
        let mut updates = Vec::new();
        for wire in response.resources {
            let resource = from_wire(&type_url, wire);
            updates.push(self.update(resource.key(), Change::Put(resource), &nonce));
        }
        for name in response.removed_resources {
            updates.push(self.update((type_url.clone(), name.into()), Change::Remove, &nonce));
        }
        if updates.is_empty() {
            let ack =
                Request { type_url: type_url.to_string(), response_nonce: nonce.to_string(), ..Request::default() };
            return Received { updates, request: Some(ack) };
        }
        self.unanswered.insert(nonce, Unanswered { updates: updates.len(), errors: Vec::new() });
        Received { updates, request: None }
    }

    fn update(&mut self, key: Key, change: Change, nonce: &Arc<str>) -> Update {
        self.seq += 1;
        let fresh = Entry { held: None, decided: self.seq - 1, latest: self.seq, open: 0 };
        let entry = self.entries.entry(key.0.clone()).or_default().entry(key.1.clone()).or_insert(fresh);
        entry.latest = self.seq;
        entry.open += 1;
        let version = match &change {
            Change::Put(resource) => Some(resource.version.clone()),
            Change::Remove => None,
        };
        let receipt = Receipt { key: key.clone(), version, seq: self.seq, epoch: self.epoch, nonce: nonce.clone() };
        Update { receipt, type_url: key.0, name: key.1, change }
    }

    /// Says what became of an update: in force, or refused and why.
    ///
    /// Gives the ACK or NACK to send when that was the last open update of its response. An update of an earlier stream
    /// is recorded and gives no request. An update that a later one has overtaken before it was tried is settled as
    /// refused; the server knows better and takes no notice.
    pub fn settle(&mut self, receipt: Receipt, result: Result<(), String>) -> Option<Request> {
        self.record(&receipt, result.is_ok());
        if receipt.epoch != self.epoch {
            return None;
        }
        let waiting = self.unanswered.get_mut(&receipt.nonce)?;
        waiting.updates -= 1;
        waiting.errors.extend(result.err());
        if waiting.updates > 0 {
            return None;
        }
        let errors = self.unanswered.remove(&receipt.nonce)?.errors;
        let error_detail = (!errors.is_empty()).then(|| Status { code: CODE_INTERNAL, message: errors.join("; ") });
        Some(Request {
            type_url: receipt.key.0.to_string(),
            response_nonce: receipt.nonce.to_string(),
            error_detail,
            ..Request::default()
        })
    }

    /// Takes an ACK back: what was said to be in force is not any more, but `held`, or nothing.
    ///
    /// Gives the request that makes the server send the name again, so that this update can be refused. It is of use only
    /// while a stream is open; the next one begins with what is held.
    pub fn take_back(&mut self, key: &Key, held: Option<Arc<str>>) -> Request {
        if let Some(entry) = self.entries.get_mut(&key.0).and_then(|names| names.get_mut(&key.1)) {
            entry.held = held;
        }
        Request { type_url: key.0.to_string(), resource_names_subscribe: vec![key.1.to_string()], ..Request::default() }
    }

    fn record(&mut self, receipt: &Receipt, accepted: bool) {
        let Some(names) = self.entries.get_mut(&receipt.key.0) else { return };
        let Some(entry) = names.get_mut(&receipt.key.1) else { return };
        entry.open -= 1;
        if accepted && receipt.seq > entry.decided {
            entry.decided = receipt.seq;
            entry.held.clone_from(&receipt.version);
        }
        if entry.open == 0 && entry.decided == entry.latest && entry.held.is_none() {
            names.remove(&receipt.key.1);
        }
    }
}

/// `google.rpc.Code.INTERNAL`, what Envoy puts into a NACK.
const CODE_INTERNAL: i32 = 13;

fn from_wire(type_url: &Arc<str>, wire: DiscoveredResource) -> Resource {
    let body = wire.resource.map(|any| any.value).unwrap_or_default();
    Resource { type_url: type_url.clone(), name: wire.name.into(), version: wire.version.into(), body }
}

#[cfg(test)]
mod tests;
