//! Envoy dies of something: what is held back until it is known of what, and what is not offered any more.

use std::sync::Arc;

use axoneme_api::intent::PROXY_CRASHED;
use axoneme_xds::{Key, type_urls::LISTENER};

use super::{Op, Reconcile, Record};

impl Reconcile {
    /// Does not offer a version until [`Self::let_go`]; the last proven one is in force. Nobody is told.
    pub(super) fn hold(&mut self, key: &Key, version: Arc<str>) {
        self.held.insert(key.clone(), version.clone());
        self.stop_serving(key, &version);
        self.sweep();
    }

    /// Offers it again.
    pub(super) fn let_go(&mut self, key: &Key) {
        if self.held.remove(key).is_some() {
            self.advance(key);
            if &*key.0 == LISTENER {
                self.refresh_listener(&key.1);
            }
            self.sweep();
        }
    }

    /// Does not offer a version any more, whoever asks for it.
    pub(super) fn crashed(&mut self, key: &Key, version: Arc<str>) {
        self.held.remove(key);
        let message = format!("{PROXY_CRASHED}Envoy dies of it; what was in force before stays, until this changes");
        self.stop_serving(key, &version);
        let good = self.proven_record(key);
        let held = good.as_ref().map(|record| record.resource.version.clone());
        // The suspect may have been accepted before it killed.
        self.say(good.map_or_else(|| Op::Forget(key.clone()), Op::Persist));
        if let Some(wanted) = self.items.get_mut(key).and_then(|item| item.wanted.as_mut())
            && wanted.resource.version == version
        {
            wanted.refused = Some(message.clone());
            let ticket = wanted.ticket.take();
            if ticket.is_none() {
                self.say(Op::TakeBack(key.clone(), held));
            }
            self.reject(key, ticket, message.clone());
        }
        self.crashes.insert(key.clone(), (version, message));
        self.sweep();
    }

    /// Envoy is known to live with a version: nothing before it is needed.
    pub(super) fn proven(&mut self, key: &Key, version: &str) {
        if let Some(item) = self.items.get_mut(key)
            && let Some(served) = item.served.as_mut().filter(|served| *served.origin.version == *version)
        {
            served.proven = true;
            item.fallback = None;
        }
    }

    /// The operator wants another version, or none: it gets its chance.
    pub(super) fn forgive(&mut self, key: &Key, version: Option<&str>) {
        if self.held.get(key).is_some_and(|held| Some(&**held) != version) {
            self.held.remove(key);
        }
        if self.crashes.get(key).is_some_and(|(crash, _)| Some(&**crash) != version) {
            self.crashes.remove(key);
        }
    }

    /// The operator's version that Envoy is told.
    #[must_use]
    pub fn origin(&self, key: &Key) -> Option<&Arc<str>> {
        self.items.get(key).and_then(|item| item.served.as_ref()).map(|served| &served.origin.version)
    }

    /// The last version that Envoy is known to live with.
    #[must_use]
    pub fn proven_record(&self, key: &Key) -> Option<Record> {
        let item = self.items.get(key)?;
        let served = item.served.as_ref().filter(|served| served.proven).or(item.fallback.as_deref())?;
        Some(Record { resource: served.origin.clone(), number: served.port.map_or(0, u32::from) })
    }

    fn stop_serving(&mut self, key: &Key, version: &str) {
        let served = self.items.get(key).and_then(|item| item.served.as_ref());
        if served.is_some_and(|served| *served.origin.version == *version) {
            self.unanswered.remove(key);
            self.overdue.remove(key);
            self.unasked.remove(key);
            self.fall_back(key, true);
        }
    }
}
