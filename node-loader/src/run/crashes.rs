//! What the quarantine hears, and what it is done about.

use std::collections::BTreeMap;

use axoneme_api::intent::REDIRECT;
use axoneme_xds::{Change, Key};
use metrics::counter;
use tokio::time::Instant;

use super::node::{Node, stored};
use crate::{
    ads::Opening,
    metrics as names,
    quarantine::{Suspect, Verdict},
    reconcile::{Event, Record},
};

impl Node {
    /// Takes up what an earlier run had in force: first what Envoy is known to live with, then what is on trial.
    pub(super) fn restore(&mut self, records: Vec<Record>, suspects: Vec<(Suspect, Option<Record>)>) {
        let addresses = self.datapath.node_addresses().borrow().clone();
        self.feed(Event::NodeAddresses(addresses));
        let on_trial: BTreeMap<Key, _> = suspects.iter().map(|(it, _)| (it.key.clone(), it.version.clone())).collect();
        let is_on_trial = |record: &Record| on_trial.get(&record.resource.key()) == Some(&record.resource.version);
        let (trials, mut proven): (Vec<_>, Vec<_>) = records.into_iter().partition(is_on_trial);
        let (suspects, good): (Vec<_>, Vec<_>) = suspects.into_iter().unzip();
        for good in good.into_iter().flatten() {
            if !proven.iter().any(|record| record.resource.key() == good.resource.key()) {
                proven.push(good);
            }
        }
        let versions = proven.iter().map(|record| (record.resource.key(), record.resource.version.clone()));
        let verdict = self.quarantine.restore(versions, suspects, Instant::now());
        for (records, proven, verdict) in [(proven, true, verdict), (trials, false, Verdict::default())] {
            let ops = self.core.restore(records, proven);
            let mut events = self.perform(ops);
            events.extend(self.note(verdict));
            events.into_iter().for_each(|event| self.feed(event));
        }
    }

    /// Envoy opens a stream, and waits to be told: the last moment to keep from it what the one before died of.
    ///
    /// Of two Envoys the newer one gets the connections that are new. One that comes beside another is no sign of a death.
    pub(super) fn opens(&mut self, opening: Opening) {
        let Opening { newest, same, version, go } = opening;
        if self.module.meet(version) {
            self.settler.set_features(self.module.features());
        }
        let (now, not_first) = (Instant::now(), std::mem::replace(&mut self.envoy_seen, true));
        if let Some(seat) = newest {
            self.prefer(seat);
        }
        if same {
            self.quarantine.resumed();
        } else if let Some(seat) = newest {
            counter!(names::ENVOY_TAKEOVERS).increment(1);
            tracing::info!(?seat, "two Envoys are at work; new connections are for the newer one");
        } else if not_first {
            counter!(names::ENVOY_RESTARTS).increment(1);
            let verdict = self.quarantine.died(now);
            self.carry_out(verdict);
        }
        self.quarantine.connected(now);
        // The stream may have ended meanwhile.
        let _ = go.send(());
    }

    /// Lets the quarantine know. False if the core must not: what Envoy refused, it refused for want of something else.
    pub(super) fn takes_notice(&mut self, event: &Event) -> bool {
        let now = Instant::now();
        match event {
            Event::EnvoyLost => self.quarantine.lost(now),
            Event::Accepted { key, version: Some(version) } => self.quarantine.accepted(key, version, now),
            Event::Refused { key, version: Some(version), .. } => {
                let (excused, verdict) = self.quarantine.refused(key, version, now);
                self.carry_out(verdict);
                return !excused;
            }
            Event::Intent { key, change, .. } if &*key.0 != REDIRECT => {
                let version = match change {
                    Change::Put(resource) => Some(&resource.version),
                    Change::Remove => None,
                };
                let verdict = self.quarantine.wish(key, version, now);
                self.carry_out(verdict);
            }
            _ => {}
        }
        true
    }

    /// What is about to be offered is written down before.
    pub(super) fn put_on_trial(&mut self, offers: &[(Key, Change)]) -> Vec<Event> {
        let now = Instant::now();
        // Of several about one name Envoy hears the last.
        let offers: BTreeMap<&Key, &Change> = offers.iter().map(|(key, change)| (key, change)).collect();
        let mut events = Vec::new();
        for (key, change) in offers {
            let verdict = match (change, self.core.origin(key)) {
                (Change::Put(resource), Some(origin)) => self.quarantine.offer(key, origin, &resource.version, now),
                _ => self.quarantine.withdraw(key, now),
            };
            events.extend(self.note(verdict));
        }
        events
    }

    pub(super) fn carry_out(&mut self, verdict: Verdict) {
        let events = self.note(verdict);
        events.into_iter().for_each(|event| self.feed(event));
    }

    /// Writes down what has to be, says what people want to know, and gives what the core has to.
    fn note(&mut self, verdict: Verdict) -> Vec<Event> {
        for key in &verdict.write {
            if let Some(suspect) = self.quarantine.suspect(key) {
                stored(key, self.suspects.put(&suspect, self.core.proven_record(key).as_ref()));
            }
        }
        for key in &verdict.erase {
            stored(key, self.suspects.remove(key));
        }
        for (key, _) in &verdict.hold {
            tracing::warn!(type_url = &*key.0, name = &*key.1, "held back: Envoy died, and this may be why");
        }
        for (key, _) in &verdict.quarantine {
            counter!(names::QUARANTINED, "type" => names::kind(&key.0)).increment(1);
            tracing::error!(type_url = &*key.0, name = &*key.1, "quarantined: Envoy dies of this version");
        }
        for key in &verdict.release {
            tracing::info!(type_url = &*key.0, name = &*key.1, "offered again");
        }
        let proven = verdict.proven.into_iter().map(|(key, version)| Event::Proven { key, version });
        let hold = verdict.hold.into_iter().map(|(key, version)| Event::Hold { key, version });
        let crashed = verdict.quarantine.into_iter().map(|(key, version)| Event::Crashed { key, version });
        let release = verdict.release.into_iter().map(|key| Event::Release { key });
        proven.chain(hold).chain(crashed).chain(release).collect()
    }
}
