//! A node that offers what the operator wants and the quarantine allows, and an Envoy that dies of some of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axoneme_xds::{
    Key,
    type_urls::{CLUSTER, ENDPOINTS, LISTENER},
};
use tokio::time::Instant;

use crate::quarantine::{Quarantine, Suspect, Verdict};

/// More steps than any world here takes.
const ENOUGH: usize = 20_000;

/// `c1` is a cluster, `e1` its assignment, `l1` a listener.
pub(super) fn key(name: &str) -> Key {
    let type_url = match &name[..1] {
        "c" => CLUSTER,
        "l" => LISTENER,
        _ => ENDPOINTS,
    };
    (type_url.into(), name.into())
}

pub(super) struct World {
    quarantine: Quarantine,
    now: Instant,
    /// Versions, by name.
    wants: BTreeMap<String, String>,
    proven: BTreeMap<String, String>,
    blocked: BTreeMap<String, String>,
    offer: BTreeMap<String, String>,
    quarantined: BTreeMap<String, String>,
    /// What the loader's disk has.
    pub(super) files: BTreeMap<Key, Suspect>,
    /// What Envoy dies of: names, `name:version`, or a cluster with its endpoints, `c1+e1`.
    culprits: BTreeSet<String>,
    /// How long after it accepted them.
    pub(super) late: Duration,
    inbox: BTreeSet<Key>,
    running: BTreeMap<String, String>,
    dies_at: Option<Instant>,
    pub(super) deaths: u32,
}

impl World {
    pub(super) fn new(culprits: &[&str]) -> Self {
        let mut world = Self {
            quarantine: Quarantine::default(),
            now: Instant::now(),
            wants: BTreeMap::new(),
            proven: BTreeMap::new(),
            blocked: BTreeMap::new(),
            offer: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            files: BTreeMap::new(),
            culprits: culprits.iter().map(ToString::to_string).collect(),
            late: Duration::ZERO,
            inbox: BTreeSet::new(),
            running: BTreeMap::new(),
            dies_at: None,
            deaths: 0,
        };
        world.quarantine.connected(world.now);
        world
    }

    pub(super) fn wish(&mut self, name: &str, version: &str) {
        self.wants.insert(name.to_owned(), version.to_owned());
        if self.blocked.get(name).is_some_and(|blocked| blocked != version) {
            self.blocked.remove(name);
        }
        let verdict = self.quarantine.wish(&key(name), Some(&version.into()), self.now);
        self.carry_out(verdict);
        self.bring(name);
    }

    pub(super) fn unwish(&mut self, name: &str) {
        self.wants.remove(name);
        self.blocked.remove(name);
        self.proven.remove(name);
        let verdict = self.quarantine.wish(&key(name), None, self.now);
        self.carry_out(verdict);
        self.bring(name);
    }

    /// Brings the offer of a name to what it should be.
    fn bring(&mut self, name: &str) {
        let wanted = self.wants.get(name);
        let allowed = wanted.filter(|wanted| self.blocked.get(name) != Some(wanted));
        let good = self.proven.get(name).filter(|_| wanted.is_some());
        let target = allowed.or(good).cloned();
        if self.offer.get(name) == target.as_ref() {
            return;
        }
        let verdict = match &target {
            Some(version) => {
                let version: Arc<str> = version.as_str().into();
                self.quarantine.offer(&key(name), &version, &version, self.now)
            }
            None => self.quarantine.withdraw(&key(name), self.now),
        };
        match target {
            Some(version) => self.offer.insert(name.to_owned(), version),
            None => self.offer.remove(name),
        };
        self.inbox.insert(key(name));
        self.carry_out(verdict);
    }

    fn carry_out(&mut self, verdict: Verdict) {
        for key in &verdict.write {
            if let Some(suspect) = self.quarantine.suspect(key) {
                self.files.insert(key.clone(), suspect);
            }
        }
        for key in &verdict.erase {
            self.files.remove(key);
        }
        for (key, version) in &verdict.proven {
            self.proven.insert(key.1.to_string(), version.to_string());
        }
        for (key, version) in verdict.hold.iter().chain(&verdict.quarantine) {
            self.blocked.insert(key.1.to_string(), version.to_string());
        }
        for (key, version) in &verdict.quarantine {
            self.quarantined.insert(key.1.to_string(), version.to_string());
        }
        for key in &verdict.release {
            self.blocked.remove(&*key.1);
        }
        let named = verdict.hold.iter().chain(&verdict.quarantine).map(|(key, _)| key);
        for key in named.chain(&verdict.release) {
            self.bring(&key.1);
        }
    }

    /// One thing happens. False when nothing will.
    pub(super) fn step(&mut self) -> bool {
        if self.dies_at.is_some_and(|at| at <= self.now) {
            self.dies();
            return true;
        }
        let cluster = |name: &str| name.replace('e', "c");
        let asked_for = |key: &&Key| !key.1.starts_with('e') || self.running.contains_key(&cluster(&key.1));
        let Some(key) = self.inbox.iter().find(asked_for).cloned() else { return self.time_passes() };
        self.inbox.remove(&key);
        self.now += Duration::from_millis(1);
        let name = key.1.to_string();
        let Some(version) = self.offer.get(&name).cloned() else {
            self.running.remove(&name);
            return true;
        };
        // A listener that says so needs the cluster of the same number.
        let needs = version.starts_with("needs").then(|| name.replace('l', "c"));
        if version == "no" || needs.is_some_and(|cluster| !self.running.contains_key(&cluster)) {
            let (excused, verdict) = self.quarantine.refused(&key, &version, self.now);
            if !excused {
                self.blocked.insert(name.clone(), version);
            }
            self.carry_out(verdict);
            self.bring(&name);
            return true;
        }
        let pair = self.culprits.contains(&format!("{}+{name}", cluster(&name)));
        if pair || self.culprits.contains(&name) || self.culprits.contains(&format!("{name}:{version}")) {
            self.dies_at = self.dies_at.min(Some(self.now + self.late)).or(Some(self.now + self.late));
            if self.late.is_zero() {
                return true;
            }
        }
        if let Some(number) = name.strip_prefix('c') {
            // Asked for once more.
            self.inbox.insert(self::key(&format!("e{number}")));
        }
        self.running.insert(name, version.clone());
        self.quarantine.accepted(&key, &version, self.now);
        true
    }

    fn time_passes(&mut self) -> bool {
        let Some(next) = self.quarantine.next().into_iter().chain(self.dies_at).min() else { return false };
        self.now = self.now.max(next);
        if self.dies_at.is_none_or(|at| at > self.now) {
            let verdict = self.quarantine.look(self.now);
            self.carry_out(verdict);
        }
        true
    }

    fn dies(&mut self) {
        self.deaths += 1;
        self.kill();
    }

    /// A fresh Envoy.
    fn starts(&mut self) {
        self.dies_at = None;
        self.running.clear();
        self.now += Duration::from_millis(130);
        self.inbox = self.offer.keys().map(|name| key(name)).collect();
        self.quarantine.connected(self.now);
    }

    /// Somebody ends Envoy.
    pub(super) fn kill(&mut self) {
        self.quarantine.lost(self.now);
        let verdict = self.quarantine.died(self.now);
        self.carry_out(verdict);
        self.starts();
    }

    /// The same Envoy comes back, and says what it runs.
    pub(super) fn stream_ends(&mut self) {
        self.quarantine.lost(self.now);
        self.now += Duration::from_millis(160);
        self.quarantine.resumed();
        self.quarantine.connected(self.now);
        for (name, version) in self.running.clone() {
            if self.offer.get(&name) == Some(&version) {
                self.quarantine.accepted(&key(&name), &version, self.now);
            }
        }
    }

    /// With its Envoy. All that the next one knows is on disk.
    pub(super) fn loader_restarts(&mut self) {
        self.quarantine = Quarantine::default();
        self.blocked.clear();
        self.offer.clear();
        let proven: Vec<_> = self.proven.iter().map(|(name, version)| (key(name), version.as_str().into())).collect();
        let verdict = self.quarantine.restore(proven, self.files.values().cloned(), self.now);
        self.carry_out(verdict);
        for name in self.wants.keys().cloned().collect::<Vec<_>>() {
            self.bring(&name);
        }
        self.starts();
    }

    pub(super) fn rest(&mut self) {
        for _ in 0..ENOUGH {
            if !self.step() {
                return;
            }
        }
        panic!("never comes to rest");
    }

    pub(super) fn offered(&self, name: &str) -> Option<&str> {
        self.offer.get(name).map(String::as_str)
    }

    pub(super) fn running(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    pub(super) fn runs(&self, name: &str, version: &str) -> bool {
        self.running.get(name).is_some_and(|running| running == version)
    }

    /// Names whose wanted version is quarantined.
    pub(super) fn quarantined(&self) -> Vec<String> {
        let is_wanted = |(name, version): &(&String, &String)| self.wants.get(*name) == Some(*version);
        self.quarantined.iter().filter(is_wanted).map(|(name, _)| name.clone()).collect()
    }
}
