//! The server side of one delta discovery stream.
//!
//! The session remembers what its client subscribed to and what it was last sent, and says only what differs. It never
//! waits for an answer: an ACK may be late, or never come. Every step costs the names it is about, not the names
//! there are: a comparison of everything on each request once took 107 s for 10,000 resources.

mod flights;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Key, Policy, Request, Response, View};
use flights::Flights;
use turn::{Look, Turn};

/// What a client said of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force there. After a reconnect this is also told of what the client held all the time.
    Acked {
        /// The resource's type.
        type_url: Arc<str>,
        /// The resource's name.
        name: Arc<str>,
        /// The version in force; none when the removal was acknowledged.
        version: Option<Arc<str>>,
    },
    /// The client refused it and keeps what it had.
    Nacked {
        /// The resource's type.
        type_url: Arc<str>,
        /// The resource's name.
        name: Arc<str>,
        /// The version that was refused; none when the removal was.
        version: Option<Arc<str>>,
        /// The client's own words.
        message: String,
    },
}

/// What a request leads to.
#[derive(Debug, Default)]
pub struct Reaction {
    /// To be sent, in order.
    pub responses: Vec<Response>,
    /// What the request said of earlier responses, or of what the client already holds.
    pub outcomes: Vec<Outcome>,
}

/// One stream: what its client subscribed to, was sent and has answered.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    subscriptions: BTreeMap<Arc<str>, Subscription>,
    /// Names to send whatever version the client reports, of types that it has not asked for yet.
    owed: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    flights: Flights,
}

/// What a client wants and has of one type.
#[derive(Debug, Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<Arc<str>>,
    /// Name to the version that was sent last, refused or not: a refused version is not sent twice on a stream.
    sent: BTreeMap<Arc<str>, Arc<str>>,
}

impl Subscription {
    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

const EVERYTHING: &str = "*";

impl Session {
    /// A stream that just opened.
    pub fn new(policy: Policy) -> Self {
        Self { policy, subscriptions: BTreeMap::new(), owed: BTreeMap::new(), flights: Flights::default() }
    }

    /// Takes a request in. O(names that it is about); a first wildcard request is O(names that the client may see).
    ///
    /// An answer to a response that a later one has overtaken, or that was never sent, is no outcome.
    pub fn on_request(&mut self, request: Request, view: &dyn View) -> Reaction {
        let mut outcomes = self.settle(&request);
        let mut turn = Turn::new(self.policy);
        if self.subscriptions.contains_key(request.type_url.as_str()) {
            self.adjust(&request, view, &mut turn);
        } else {
            outcomes.extend(self.begin(request, view, &mut turn));
        }
        Reaction { responses: self.speak(turn, view), outcomes }
    }

    /// Sends what of `changed` the client subscribed to and does not have yet, or has again ([`Policy::repeat`]). O(changed).
    pub fn on_change(&mut self, changed: &BTreeSet<Key>, view: &dyn View) -> Vec<Response> {
        let mut turn = Turn::new(self.policy);
        let look = if self.policy.repeat { Look::Again } else { Look::IfChanged };
        for (type_url, name) in changed {
            if self.subscriptions.get(type_url).is_some_and(|subscription| subscription.covers(name)) {
                turn.look_at(type_url, name, look);
            }
        }
        self.speak(turn, view)
    }

    /// What an ACK or NACK says of the resources in its response.
    fn settle(&mut self, request: &Request) -> Vec<Outcome> {
        let Some(flight) = self.flights.land(&request.type_url, &request.response_nonce) else { return Vec::new() };
        let outcome = |name| {
            let (type_url, version) = (flight.type_url.clone(), flight.version.clone());
            match &request.error_detail {
                None => Outcome::Acked { type_url, name, version },
                Some(error) => Outcome::Nacked { type_url, name, version, message: error.message.clone() },
            }
        };
        flight.names.into_iter().map(outcome).collect()
    }

    /// The first request of a type on this stream.
    fn begin(&mut self, request: Request, view: &dyn View, turn: &mut Turn) -> Vec<Outcome> {
        let type_url: Arc<str> = request.type_url.into();
        let (stars, names): (Vec<_>, Vec<_>) =
            request.resource_names_subscribe.into_iter().partition(|name| name == EVERYTHING);
        let implicit = names.is_empty() && self.policy.implicit_wildcard.contains(&&*type_url);
        let names = names.into_iter().map(Arc::from).collect();
        let mut subscription = Subscription { wildcard: implicit || !stars.is_empty(), names, sent: BTreeMap::new() };

        let mut outcomes = Vec::new();
        for (name, version) in request.initial_resource_versions {
            if !subscription.covers(&name) {
                continue;
            }
            let (name, version) = match view.get(&type_url, &name) {
                Some(ours) if *ours.version == *version => {
                    let (type_url, name, version) = (type_url.clone(), ours.name.clone(), Some(ours.version.clone()));
                    outcomes.push(Outcome::Acked { type_url, name, version });
                    // Our own strings, shared by all streams, and not the request's.
                    (ours.name, ours.version)
                }
                _ => (name.into(), version.into()),
            };
            turn.look_at(&type_url, &name, Look::IfChanged);
            subscription.sent.insert(name, version);
        }
        for name in &subscription.names {
            let look = if subscription.sent.contains_key(name) { Look::IfChanged } else { Look::Always };
            turn.look_at(&type_url, name, look);
        }
        if subscription.wildcard {
            turn.look_at_all(&type_url, view);
        }
        for name in self.owed.remove(&type_url).unwrap_or_default() {
            if subscription.covers(&name) {
                turn.look_at(&type_url, &name, Look::Always);
            }
        }
        self.subscriptions.insert(type_url, subscription);
        outcomes
    }

    /// A later request of a type: changes of the subscription, often none.
    fn adjust(&mut self, request: &Request, view: &dyn View, turn: &mut Turn) {
        let Some(subscription) = self.subscriptions.get_mut(request.type_url.as_str()) else { return };
        let type_url: Arc<str> = request.type_url.as_str().into();
        for name in &request.resource_names_unsubscribe {
            if name == EVERYTHING {
                subscription.wildcard = false;
                let names = &subscription.names;
                subscription.sent.retain(|name, _| names.contains(name));
                continue;
            }
            let name: Arc<str> = name.as_str().into();
            subscription.names.remove(&name);
            if subscription.wildcard {
                // The client cannot know whether "everything" includes the name: tell it.
                turn.look_at(&type_url, &name, Look::Always);
            } else {
                subscription.sent.remove(&name);
            }
        }
        for name in &request.resource_names_subscribe {
            if name == EVERYTHING {
                if !subscription.wildcard {
                    subscription.wildcard = true;
                    turn.look_at_all(&type_url, view);
                }
                continue;
            }
            // Answered even if the version is the same: the client may have forgotten it (envoyproxy/envoy#22418).
            let name: Arc<str> = name.as_str().into();
            turn.look_at(&type_url, &name, Look::Always);
            subscription.names.insert(name);
        }
    }

    /// Goes through a turn in the policy's order and says what the client lacks.
    fn speak(&mut self, mut turn: Turn, view: &dyn View) -> Vec<Response> {
        let mut responses = Vec::new();
        let mut last = Vec::new();
        while let Some((type_url, agenda)) = turn.next() {
            let Some(subscription) = self.subscriptions.get_mut(&type_url) else { continue };
            let hold = self.policy.hold_when_missing.contains(&&*type_url);
            let (mut puts, mut gone) = (Vec::new(), BTreeSet::new());
            for (name, look) in agenda.names {
                let always = look == Look::Always;
                match view.get(&type_url, &name) {
                    Some(resource)
                        if look > Look::IfChanged || subscription.sent.get(&name) != Some(&resource.version) =>
                    {
                        subscription.sent.insert(name, resource.version.clone());
                        puts.push(resource);
                    }
                    Some(_) => {}
                    None => {
                        if subscription.sent.remove(&name).is_some() || (always && !hold) {
                            gone.insert(name);
                        }
                    }
                }
            }
            if agenda.answer && puts.is_empty() && gone.is_empty() {
                // Envoy waits 15 s at boot for the first answer to a wildcard, so even nothing is said.
                responses.push(self.flights.nothing(&type_url));
            }
            if !gone.is_empty() && self.policy.release_first.contains(&&*type_url) {
                responses.push(self.flights.removal(&type_url, std::mem::take(&mut gone)));
            }
            for resource in &puts {
                responses.push(self.flights.resource(resource));
                self.follow(&type_url, &resource.name, view, &mut turn);
            }
            if !gone.is_empty() {
                last.push((type_url, gone));
            }
        }
        let removals = last.into_iter().rev().map(|(type_url, gone)| self.flights.removal(&type_url, gone));
        responses.extend(removals);
        responses
    }

    /// Puts what has to be sent again after a resource on the agenda, now or for when its type is asked for.
    fn follow(&mut self, type_url: &str, name: &str, view: &dyn View, turn: &mut Turn) {
        if !self.policy.follow {
            return;
        }
        // Only forward in the order, or a view whose resources follow each other would never come to an end.
        let forward = |key: &Key| self.policy.rank(&key.0) > self.policy.rank(type_url);
        let Some((type_url, name)) = view.follow(type_url, name).filter(forward) else { return };
        match self.subscriptions.get(&type_url) {
            Some(subscription) if subscription.covers(&name) => turn.look_at(&type_url, &name, Look::Always),
            // A subscription to it later on is answered anyway.
            Some(_) => {}
            None => {
                self.owed.entry(type_url).or_default().insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
