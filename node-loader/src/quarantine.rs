//! What does Envoy die of? Suspects, trials, and at last the one that is not offered any more.
//!
//! A version is on trial from before it is sent until Envoy has lived with it for a while; then it is proven, for good. When
//! Envoy dies, all that is on trial is suspect of that death. Dying once changes nothing: everything is offered again. When
//! it dies again, all suspects are held back, so that the rest serves at once, and are tried in groups: a group that Envoy
//! lives with is proven and leaves the suspects of every death, one that it dies of becomes the suspects of one more
//! death. Who is left alone with two deaths is quarantined until its content changes. That explains its deaths, and all
//! others are offered again.
//!
//! One culprit among `n` suspects costs at most three deaths and one more for each halving of `n`; usually it costs two, as
//! the versions that Envoy had accepted before it died are tried first. Nothing is tried without what it may refer to: of a
//! cluster and its endpoints the cluster is to blame. Pure: time is passed in.

mod case;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axoneme_xds::Key;
use tokio::time::Instant;

pub use verdict::{Suspect, Verdict};

use case::Trial;

/// So long Envoy has to live with a version that it accepted. Some die later than at once: of a first health check.
pub const GRACE: Duration = Duration::from_secs(5);
/// A death longer ago has nothing to do with the next one.
const WINDOW: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// The versions that Envoy is known to live with, the latest of each name.
    proven: BTreeMap<Key, Arc<str>>,
    /// What is on trial, held back or quarantined: one version of a name.
    entries: BTreeMap<Key, Entry>,
    /// When what is on trial will be proven.
    due: BTreeSet<(Instant, Key)>,
    /// Deaths that are not explained, and when they were.
    deaths: BTreeMap<u64, Instant>,
    last_death: u64,
    /// When Envoy came.
    connected: Option<Instant>,
    /// When its stream ended, if it is not known yet what became of it.
    lost: Option<Instant>,
    /// The longest time that Envoy took to die, in this case.
    lag: Duration,
    /// The group that is tried at this moment.
    trial: Option<Trial>,
    /// How many groups were tried in this case.
    trials: u32,
}

#[derive(Debug)]
struct Entry {
    /// The operator's.
    version: Arc<str>,
    /// As Envoy gets it.
    served: Arc<str>,
    standing: Standing,
    /// The operator wants another one, or none.
    unwanted: bool,
    /// It was in a group that Envoy lived with, although Envoy has not looked at it.
    cleared: bool,
    offered: Instant,
    accepted: Option<Instant>,
    /// When it will be proven.
    due: Option<Instant>,
    /// At which it was on trial, of those that are not explained.
    deaths: BTreeSet<u64>,
    /// At how many of them Envoy had not accepted it.
    unanswered: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not offered, for other reasons than ours.
    Idle,
    OnTrial,
    Held,
    Quarantined,
}

impl Quarantine {
    /// Takes up what an earlier run knew. The verdict says what must not be offered.
    pub fn restore(
        &mut self,
        proven: impl IntoIterator<Item = (Key, Arc<str>)>,
        suspects: impl IntoIterator<Item = Suspect>,
        now: Instant,
    ) -> Verdict {
        self.proven.extend(proven);
        let mut verdict = Verdict::default();
        for suspect in suspects {
            let deaths: BTreeSet<u64> = suspect.deaths.iter().copied().collect();
            self.deaths.extend(deaths.iter().map(|death| (*death, now)));
            self.last_death = self.last_death.max(deaths.last().copied().unwrap_or_default());
            let mut entry = Entry::new(&suspect.version, &suspect.version, now);
            entry.unanswered = u32::try_from(deaths.len()).unwrap_or(u32::MAX);
            entry.deaths = deaths;
            entry.standing = if suspect.quarantined { Standing::Quarantined } else { Standing::Idle };
            if suspect.quarantined {
                verdict.quarantine.push((suspect.key.clone(), suspect.version));
            }
            self.entries.insert(suspect.key, entry);
        }
        self.lag = if self.deaths.is_empty() { Duration::ZERO } else { GRACE };
        self.judge(now, &mut verdict);
        verdict
    }

    /// A version is about to be offered to Envoy. The verdict says what to write down before.
    pub fn offer(&mut self, key: &Key, version: &Arc<str>, served: &Arc<str>, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        if self.proven.get(key) == Some(version) {
            if self.stands(key, Standing::OnTrial) {
                self.leave(key, &mut verdict);
                self.judge(now, &mut verdict);
            }
            return verdict;
        }
        self.undue(key);
        match self.entries.get_mut(key).filter(|entry| entry.version == *version) {
            Some(entry) => {
                (entry.served, entry.standing) = (served.clone(), Standing::OnTrial);
                (entry.offered, entry.accepted) = (now, None);
            }
            None => {
                self.leave(key, &mut verdict);
                verdict.erase.remove(key);
                self.entries.insert(key.clone(), Entry::new(version, served, now));
                verdict.write.insert(key.clone());
                self.judge(now, &mut verdict);
            }
        }
        verdict
    }

    /// A name is not offered any more, for other reasons than ours.
    pub fn withdraw(&mut self, key: &Key, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        self.undue(key);
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.standing == Standing::OnTrial) else {
            return verdict;
        };
        entry.standing = Standing::Idle;
        if entry.unwanted || entry.deaths.is_empty() {
            self.leave(key, &mut verdict);
            self.judge(now, &mut verdict);
        }
        verdict
    }

    /// The operator wants this version, or none: what was found out about others is of no use, unless Envoy still has it.
    pub fn wish(&mut self, key: &Key, version: Option<&Arc<str>>, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        if version.is_none() {
            self.proven.remove(key);
        }
        let Some(entry) = self.entries.get_mut(key) else { return verdict };
        entry.unwanted = version.is_none_or(|wanted| entry.version != *wanted);
        if entry.unwanted && entry.standing != Standing::OnTrial {
            self.leave(key, &mut verdict);
            self.judge(now, &mut verdict);
        }
        verdict
    }

    /// Envoy took a version: its time of grace begins.
    pub fn accepted(&mut self, key: &Key, served: &str, now: Instant) {
        self.connected(now);
        let patience = self.patience(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.standing == Standing::OnTrial && &*entry.served == served && entry.accepted.is_none() {
            (entry.accepted, entry.due) = (Some(now), Some(now + patience));
            self.due.insert((now + patience, key.clone()));
        }
    }

    /// Envoy refused a version and lived. While others are held back it may lack one of these: then it is held back as well,
    /// and the refusal is none. True in that case.
    pub fn refused(&mut self, key: &Key, served: &str, now: Instant) -> (bool, Verdict) {
        let mut verdict = Verdict::default();
        let is_it = self.entries.get(key).is_some_and(|it| it.standing == Standing::OnTrial && &*it.served == served);
        if !is_it {
            return (false, verdict);
        }
        let excused = self.entries.values().any(|entry| entry.standing == Standing::Held);
        if excused && let Some(entry) = self.entries.get_mut(key) {
            entry.standing = Standing::Held;
            verdict.hold.push((key.clone(), entry.version.clone()));
        } else {
            self.leave(key, &mut verdict);
        }
        self.judge(now, &mut verdict);
        (excused, verdict)
    }

    /// How many versions Envoy is not known to live with.
    #[must_use]
    pub fn suspects(&self) -> usize {
        self.entries.len()
    }

    /// When to [`look`](Self::look).
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if self.lost.is_some() {
            return None;
        }
        self.due.first().map(|(due, _)| *due).into_iter().chain(self.next_look()).min()
    }

    /// Time has passed: what Envoy has lived with for long enough is proven. O(what is).
    pub fn look(&mut self, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        if self.lost.is_none() {
            self.prove(now, &mut verdict);
            self.judge(now, &mut verdict);
        }
        verdict
    }

    /// What is to be written down of a name; none if nothing.
    #[must_use]
    pub fn suspect(&self, key: &Key) -> Option<Suspect> {
        let entry = self.entries.get(key)?;
        Some(Suspect {
            key: key.clone(),
            version: entry.version.clone(),
            deaths: entry.deaths.iter().copied().collect(),
            quarantined: entry.standing == Standing::Quarantined,
        })
    }

    fn prove(&mut self, now: Instant, verdict: &mut Verdict) {
        while let Some((_, key)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            let version = self.entries.get(&key).map(|entry| entry.version.clone());
            self.drop_entry(&key, verdict);
            if let Some(version) = version {
                self.proven.insert(key.clone(), version.clone());
                verdict.proven.push((key, version));
            }
        }
    }

    fn stands(&self, key: &Key, standing: Standing) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.standing == standing)
    }

    fn undue(&mut self, key: &Key) {
        if let Some(due) = self.entries.get_mut(key).and_then(|entry| entry.due.take()) {
            self.due.remove(&(due, key.clone()));
        }
    }

    /// Nobody will ever know whether it was to blame for its deaths; the next ones will tell.
    fn leave(&mut self, key: &Key, verdict: &mut Verdict) {
        let deaths = self.entries.get_mut(key).map(|entry| std::mem::take(&mut entry.deaths));
        for death in deaths.into_iter().flatten() {
            self.explain(death, verdict);
        }
        self.drop_entry(key, verdict);
    }

    fn drop_entry(&mut self, key: &Key, verdict: &mut Verdict) {
        self.undue(key);
        if self.entries.remove(key).is_some() {
            verdict.erase.insert(key.clone());
            verdict.write.remove(key);
        }
    }
}

impl Entry {
    fn new(version: &Arc<str>, served: &Arc<str>, now: Instant) -> Self {
        Self {
            version: version.clone(),
            served: served.clone(),
            standing: Standing::OnTrial,
            unwanted: false,
            cleared: false,
            offered: now,
            accepted: None,
            due: None,
            deaths: BTreeSet::new(),
            unanswered: 0,
        }
    }
}

#[cfg(test)]
mod tests;
