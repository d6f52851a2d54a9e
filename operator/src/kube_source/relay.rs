//! What a watch's events mean for the engine. No I/O: events in, at most one source event out.

use kube::runtime::watcher::{self, Event};

use super::Decoded;
use crate::{
    metrics,
    metrics::http::Gate,
    source::{Kind, Object, SourceEvent, Unreadable},
};

/// One kind's watch between the API server and the engine.
#[derive(Debug)]
pub(super) struct Relay {
    kind: Kind,
    /// Objects of a list that is not complete yet.
    listed: Vec<Object>,
    unreadable: Vec<Unreadable>,
    gate: Option<Gate>,
    absent: bool,
}

impl Relay {
    pub(super) fn new(kind: Kind, gate: Gate) -> Self {
        Self { kind, listed: Vec::new(), unreadable: Vec::new(), gate: Some(gate), absent: false }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn on_event(&mut self, event: Event<Decoded>) -> Option<SourceEvent> {
        match event {
            // Comes before every attempt to list, so it says nothing about the kind being served.
            Event::Init => {
                self.forget_list();
                None
            }
            Event::InitApply(object) => {
                match self.decoded(object) {
                    Ok(object) => self.listed.push(object),
                    Err(unreadable) => self.unreadable.push(unreadable),
                }
                None
            }
            Event::InitDone => {
                self.served();
                Some(self.reset())
            }
            Event::Apply(object) => Some(match self.decoded(object) {
                Ok(object) => SourceEvent::Apply(object),
                Err(unreadable) => SourceEvent::Unreadable(unreadable),
            }),
            Event::Delete(object) => {
                let key = object.map_or_else(|unreadable| unreadable.key, |object| object.key());
                Some(SourceEvent::Delete(key))
            }
        }
    }

    pub(super) fn on_error(&mut self, error: &watcher::Error) -> Option<SourceEvent> {
        if is_absent(error) {
            return self.not_served();
        }
        if is_expired(error) {
            tracing::debug!(kind = %self.kind, "the API server forgot where this watch was; listing anew");
            return None;
        }
        ::metrics::counter!(metrics::WATCH_FAILURES, "kind" => self.kind.as_str()).increment(1);
        tracing::warn!(kind = %self.kind, %error, "watch failed; what is known stays in force");
        None
    }

    /// A kind that nobody has installed has no objects, and the other kinds do not wait for it. But what was listed once
    /// stays in force: an API server that starts may not know its custom resources for a moment.
    fn not_served(&mut self) -> Option<SourceEvent> {
        if std::mem::replace(&mut self.absent, true) {
            return None;
        }
        tracing::warn!(
            kind = %self.kind,
            api_version = self.kind.api_version(),
            "the API server does not know this kind; install its CustomResourceDefinition, it is looked for twice a minute"
        );
        self.forget_list();
        self.gate.is_some().then(|| self.reset())
    }

    fn served(&mut self) {
        if std::mem::take(&mut self.absent) {
            tracing::info!(kind = %self.kind, "the API server knows this kind now");
        }
    }

    fn reset(&mut self) -> SourceEvent {
        if let Some(gate) = self.gate.take() {
            gate.open();
        }
        let (objects, unreadable) = (std::mem::take(&mut self.listed), std::mem::take(&mut self.unreadable));
        SourceEvent::Reset { kind: self.kind, objects, unreadable }
    }

    fn forget_list(&mut self) {
        self.listed.clear();
        self.unreadable.clear();
    }

    fn decoded(&self, object: Decoded) -> Decoded {
        object.inspect_err(|Unreadable { key, why, .. }| {
            ::metrics::counter!(metrics::UNDECODABLE, "kind" => self.kind.as_str()).increment(1);
            tracing::warn!(object = %key, error = why, "object cannot be decoded; what was known of it stays in force");
        })
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

/// Happens in every cluster: history is kept for some minutes only.
pub(super) fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::{
        metrics::http::Readiness,
        source::{Meta, Node, ObjectKey},
    };

    fn node(name: &str) -> Decoded {
        Ok(Object::Node(Node::new(Meta::named("", name), Default::default(), None)))
    }

    fn broken(name: &str) -> Decoded {
        Err(unreadable(name))
    }

    fn unreadable(name: &str) -> Unreadable {
        Unreadable { key: ObjectKey::new(Kind::Node, "", name), uid: None, why: "invalid type".to_owned() }
    }

    fn names(event: Option<SourceEvent>) -> Vec<String> {
        match event {
            Some(SourceEvent::Reset { objects, .. }) => {
                objects.iter().map(|object| object.key().name.to_string()).collect()
            }
            other => panic!("not a reset: {other:?}"),
        }
    }

    #[test]
    fn a_list_is_told_whole_and_once() {
        let readiness = Readiness::default();
        let mut relay = Relay::new(Kind::Node, readiness.gate("Node"));
        for event in [Event::Init, Event::InitApply(node("a")), Event::Init, Event::InitApply(node("b"))] {
            assert_eq!(relay.on_event(event), None);
        }
        assert_eq!(readiness.missing(), ["Node"]);
        assert_eq!(names(relay.on_event(Event::InitDone)), ["b"]);
        assert!(readiness.missing().is_empty());
    }

    #[test]
    fn an_update_that_cannot_be_decoded_changes_nothing_but_its_deletion_counts() {
        let mut relay = Relay::new(Kind::Node, Readiness::default().gate("Node"));
        let told = relay.on_event(Event::Apply(broken("a")));
        assert_eq!(told, Some(SourceEvent::Unreadable(unreadable("a"))));
        let key = ObjectKey::new(Kind::Node, "", "a");
        assert_eq!(relay.on_event(Event::Delete(broken("a"))), Some(SourceEvent::Delete(key)));
    }

    #[test]
    fn an_object_that_cannot_be_decoded_is_told_with_the_list_and_is_not_gone() {
        let mut relay = Relay::new(Kind::Node, Readiness::default().gate("Node"));
        for event in [Event::Init, Event::InitApply(broken("a")), Event::Init, Event::InitApply(broken("b"))] {
            assert_eq!(relay.on_event(event), None);
        }
        assert_eq!(relay.on_event(Event::InitApply(node("c"))), None);
        let Some(SourceEvent::Reset { objects, unreadable: told, .. }) = relay.on_event(Event::InitDone) else {
            panic!()
        };
        assert_eq!((objects.len(), told), (1, vec![unreadable("b")]));
    }

    #[test]
    fn a_kind_that_is_not_installed_has_no_objects_and_blocks_nobody() {
        let readiness = Readiness::default();
        let mut relay = Relay::new(Kind::CiliumEnvoyConfig, readiness.gate("CiliumEnvoyConfig"));
        // As the API server answers for a group that it does not know: plain text, no reason.
        let missing = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(missing)));
        assert!(names(relay.on_error(&error)).is_empty());
        assert!(readiness.missing().is_empty());
        assert_eq!(relay.on_error(&error), None);
        assert_eq!(relay.on_event(Event::Init), None);
        assert_eq!(relay.on_error(&error), None);
        assert!(names(relay.on_event(Event::InitDone)).is_empty());
        assert!(!relay.absent);
        assert_eq!(relay.on_error(&error), None, "what was listed stays in force");
    }

    #[test]
    fn a_forgotten_place_is_no_failure_and_loses_nothing() {
        let mut relay = Relay::new(Kind::Service, Readiness::default().gate("Service"));
        let expired = Status::failure("too old resource version", "Expired").with_code(410);
        assert!(is_expired(&watcher::Error::WatchError(Box::new(expired.clone()))));
        assert_eq!(relay.on_error(&watcher::Error::WatchError(Box::new(expired))), None);
    }

    #[test]
    fn other_failures_leave_what_is_known_in_force() {
        let readiness = Readiness::default();
        let mut relay = Relay::new(Kind::Service, readiness.gate("Service"));
        assert_eq!(relay.on_error(&watcher::Error::NoResourceVersion), None);
        assert_eq!(readiness.missing(), ["Service"]);
    }
}
