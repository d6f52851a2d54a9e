//! Deaths, their suspects, and the trials that tell these apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axoneme_xds::{
    Key,
    type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET},
};
use tokio::time::Instant;

use super::{Entry, GRACE, Quarantine, Standing, Verdict, WINDOW};

/// A trial is not shorter than this, for machines that are busy.
const SHORTEST: Duration = Duration::from_secs(1);
/// A trial takes so many times what Envoy took to die.
const CARE: u32 = 3;
/// Envoy may never ask for some of a group, or answer. These stay on trial, and others have their turn.
const LONGEST: Duration = Duration::from_secs(15);

/// A group that is tried.
#[derive(Debug)]
pub(super) struct Trial {
    group: BTreeSet<Key>,
    /// When Envoy was there to begin with it.
    begun: Option<Instant>,
}

impl Quarantine {
    /// Envoy's stream ended. Whether Envoy did, the next stream tells: [`died`](Self::died) or [`resumed`](Self::resumed).
    pub fn lost(&mut self, now: Instant) {
        self.lost.get_or_insert(now);
    }

    /// The same Envoy is back.
    pub fn resumed(&mut self) {
        self.lost = None;
    }

    /// Another Envoy is there, so that the last one died. O(what is on trial); in a case O(its suspects x deaths).
    pub fn died(&mut self, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        let now = self.lost.unwrap_or(now);
        self.prove(now, &mut verdict);
        self.lost = None;
        self.forget_old(now, &mut verdict);
        self.last_death += 1;
        let mut last_offer = None;
        // In a trial it is not one of those that Envoy lived with before.
        let tried = self.trial.is_some();
        let is_suspect = |entry: &Entry| entry.standing == Standing::OnTrial && !(tried && entry.cleared);
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| is_suspect(entry)) {
            entry.cleared = false;
            entry.deaths.insert(self.last_death);
            entry.unanswered += u32::from(entry.accepted.is_none());
            last_offer = last_offer.max(Some(entry.offered));
            verdict.write.insert(key.clone());
        }
        if let Some(last_offer) = last_offer {
            self.deaths.insert(self.last_death, now);
            let began = self.connected.map_or(last_offer, |connected| connected.max(last_offer));
            self.lag = self.lag.max(now.saturating_duration_since(began));
            self.trial = None;
        }
        self.start_over();
        self.judge(now, &mut verdict);
        verdict
    }

    /// What the last Envoy accepted, the next one has to accept again.
    fn start_over(&mut self) {
        self.connected = None;
        if let Some(trial) = &mut self.trial {
            trial.begun = None;
        }
        self.due.clear();
        for entry in self.entries.values_mut() {
            (entry.accepted, entry.due) = (None, None);
        }
    }

    /// Envoy has a stream.
    pub fn connected(&mut self, now: Instant) {
        self.connected.get_or_insert(now);
        if let Some(trial) = &mut self.trial {
            trial.begun.get_or_insert(now);
        }
    }

    /// When the trial of the moment has to be looked at.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let (trial, begun) = self.trial.as_ref().and_then(|trial| Some((trial, trial.begun?)))?;
        let early = trial.group.iter().any(|key| self.waits_for_envoy(key));
        Some(begun + if early { LONGEST } else { self.care() })
    }

    /// So long Envoy has to live with a version that it accepted.
    pub(super) fn patience(&self, key: &Key) -> Duration {
        match &self.trial {
            Some(trial) if trial.group.contains(key) => self.care(),
            _ => GRACE,
        }
    }

    fn care(&self) -> Duration {
        (self.lag * CARE).clamp(SHORTEST, LONGEST)
    }

    /// Says who is guilty, who is held back and who is tried next.
    pub(super) fn judge(&mut self, now: Instant, verdict: &mut Verdict) {
        if self.deaths.is_empty() && self.trial.is_none() {
            return;
        }
        while let Some(guilty) = self.guilty() {
            self.convict(&guilty, verdict);
        }
        let sets = self.sets();
        self.deaths.retain(|death, _| sets.contains_key(death));
        if self.deaths.len() < 2 {
            return self.close(verdict);
        }
        if !self.is_over(now) {
            return;
        }
        for key in self.trial.take().into_iter().flat_map(|trial| trial.group) {
            self.acquit(&key, verdict);
        }
        let sets = self.sets();
        self.deaths.retain(|death, _| sets.contains_key(death));
        if self.deaths.len() < 2 {
            return self.close(verdict);
        }
        self.try_next(&sets, now, verdict);
    }

    /// The suspects of each death.
    fn sets(&self) -> BTreeMap<u64, BTreeSet<Key>> {
        let mut sets: BTreeMap<u64, BTreeSet<Key>> = BTreeMap::new();
        for (key, entry) in &self.entries {
            for death in &entry.deaths {
                sets.entry(*death).or_default().insert(key.clone());
            }
        }
        sets
    }

    /// Who is alone with two deaths. One may have had another cause, such as a person with a signal.
    fn guilty(&self) -> Option<Key> {
        let mut once = BTreeSet::new();
        self.sets().into_values().filter(|suspects| suspects.len() == 1).flatten().find(|key| !once.insert(key.clone()))
    }

    fn convict(&mut self, key: &Key, verdict: &mut Verdict) {
        self.undue(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.standing = Standing::Quarantined;
        let (deaths, version) = (std::mem::take(&mut entry.deaths), entry.version.clone());
        verdict.quarantine.push((key.clone(), version));
        verdict.write.insert(key.clone());
        for death in deaths {
            self.explain(death, verdict);
        }
    }

    /// A death that needs no explanation any more.
    pub(super) fn explain(&mut self, death: u64, verdict: &mut Verdict) {
        self.deaths.remove(&death);
        for (key, entry) in &mut self.entries {
            if entry.deaths.remove(&death) {
                verdict.write.insert(key.clone());
            }
        }
    }

    fn forget_old(&mut self, now: Instant, verdict: &mut Verdict) {
        let old = |(death, at): (&u64, &Instant)| (now.saturating_duration_since(*at) > WINDOW).then_some(*death);
        if self.deaths.len() < 2 {
            for death in self.deaths.iter().filter_map(old).collect::<Vec<_>>() {
                self.explain(death, verdict);
            }
        }
    }

    /// Whether Envoy had its time with a group, and has accepted all of it that it asks for by itself.
    fn is_over(&self, now: Instant) -> bool {
        let Some(trial) = &self.trial else { return true };
        let gone = !trial.group.iter().any(|key| self.entries.contains_key(key));
        gone || self.next_look().is_some_and(|look| now >= look)
    }

    /// Its answer is still to come, or its time runs.
    fn waits_for_envoy(&self, key: &Key) -> bool {
        let entry = self.entries.get(key).filter(|entry| entry.standing == Standing::OnTrial);
        entry.is_some_and(|entry| entry.accepted.is_some() || matches!(&*key.0, CLUSTER | LISTENER))
    }

    /// It was tried, and is only not proven as Envoy has not looked at it.
    fn acquit(&mut self, key: &Key, verdict: &mut Verdict) {
        let entry = self.entries.get_mut(key).filter(|entry| entry.standing != Standing::Quarantined);
        if let Some(entry) = entry {
            entry.cleared = true;
            if !std::mem::take(&mut entry.deaths).is_empty() {
                verdict.write.insert(key.clone());
            }
        }
    }

    /// Holds all suspects back but the next group, which is offered.
    fn try_next(&mut self, sets: &BTreeMap<u64, BTreeSet<Key>>, now: Instant, verdict: &mut Verdict) {
        let group = self.next_group(sets);
        let suspects: BTreeSet<&Key> = sets.values().flatten().collect();
        for key in suspects.into_iter().filter(|key| !group.contains(*key)) {
            if let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.standing != Standing::Held) {
                entry.standing = Standing::Held;
                verdict.hold.push((key.clone(), entry.version.clone()));
                self.undue(key);
            }
        }
        for key in &group {
            self.release(key, verdict);
        }
        self.trials += 1;
        self.trial = Some(Trial { group, begun: self.connected.map(|_| now) });
    }

    /// Half of the suspects of the death that has the fewest and no one who is alone with another death. Without such a
    /// death, all others at once; and once all are alone with a death, one that has the fewest deaths.
    fn next_group(&self, sets: &BTreeMap<u64, BTreeSet<Key>>) -> BTreeSet<Key> {
        let alone: BTreeSet<&Key> = sets.values().filter(|suspects| suspects.len() == 1).flatten().collect();
        let is_open = |suspects: &&BTreeSet<Key>| !suspects.iter().any(|key| alone.contains(key));
        if let Some(closest) = sets.values().filter(is_open).min_by_key(|suspects| suspects.len()) {
            return self.less_suspect(closest);
        }
        let others: BTreeSet<Key> = sets.values().flatten().filter(|key| !alone.contains(*key)).cloned().collect();
        if !others.is_empty() {
            return others;
        }
        let deaths = |key: &&&Key| self.entries.get(**key).map_or(0, |entry| entry.deaths.len());
        alone.iter().min_by_key(deaths).into_iter().map(|key| (*key).clone()).collect()
    }

    /// Nothing is left to be found out: what is held back is offered again.
    fn close(&mut self, verdict: &mut Verdict) {
        self.trial = None;
        self.trials = 0;
        if self.deaths.is_empty() {
            self.lag = Duration::ZERO;
        }
        let held = self.entries.iter().filter(|(_, entry)| entry.standing == Standing::Held);
        for key in held.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.release(&key, verdict);
        }
    }

    fn release(&mut self, key: &Key, verdict: &mut Verdict) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.standing == Standing::Held) {
            entry.standing = Standing::Idle;
            verdict.release.push(key.clone());
        }
    }

    /// The suspects to try, never without those that they may refer to: a cluster without its endpoints harms nobody. At
    /// first what comes before the first that Envoy had not accepted, as most often it dies of what it looks at; then half.
    fn less_suspect(&self, suspects: &BTreeSet<Key>) -> BTreeSet<Key> {
        let unanswered = |key: &Key| self.entries.get(key).map_or(0, |entry| entry.unanswered);
        let mut sorted: Vec<&Key> = suspects.iter().collect();
        sorted.sort_by_key(|key| (rank(key), unanswered(key)));
        let asked = |key: &&Key| matches!(&*key.0, CLUSTER | LISTENER);
        let most = sorted.iter().filter(|key| asked(key)).map(|key| unanswered(key)).max().unwrap_or_default();
        let is_first = |key: &&Key| most > 0 && asked(key) && unanswered(key) == most;
        let first = sorted.iter().position(is_first).filter(|first| self.trials == 0 && *first > 0);
        let count = first.unwrap_or(sorted.len() / 2);
        sorted.into_iter().take(count).cloned().collect()
    }
}

/// What is referred to comes before what refers to it.
fn rank(key: &Key) -> usize {
    let order = [ENDPOINTS, SECRET, CLUSTER, ROUTE];
    let last = order.len() + usize::from(&*key.0 == LISTENER);
    order.iter().position(|type_url| **type_url == *key.0).unwrap_or(last)
}
