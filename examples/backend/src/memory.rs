//! What a server remembers of the requests that it saw: enough for a test to ask about afterwards.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Grows with what is asked; a test's server does not live long.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    requests: BTreeMap<String, usize>,
    tries: BTreeMap<String, usize>,
    hits: BTreeMap<String, u32>,
    log: Vec<String>,
}

impl Memory {
    /// Counts a request of a test case (`x-case`).
    pub(crate) fn note_request(&self, case: &str) {
        *self.0.lock().requests.entry(case.to_owned()).or_default() += 1;
    }

    /// How many requests of a case came here.
    pub(crate) fn requests(&self, case: &str) -> usize {
        self.0.lock().requests.get(case).copied().unwrap_or_default()
    }

    /// How often this very request (`x-ask`) came here, this time included: more than once when the proxy retries.
    pub(crate) fn try_of(&self, ask: &str) -> usize {
        let mut inner = self.0.lock();
        let tries = inner.tries.entry(ask.to_owned()).or_default();
        *tries += 1;
        *tries
    }

    /// Counts a hit of a rate limit, and tells how many there were.
    pub(crate) fn hit(&self, limit: String) -> u32 {
        let mut inner = self.0.lock();
        let hits = inner.hits.entry(limit).or_default();
        *hits += 1;
        *hits
    }

    /// Keeps a line of an access log.
    pub(crate) fn log(&self, line: String) {
        self.0.lock().log.push(line);
    }

    /// The lines of all access logs.
    pub(crate) fn lines(&self) -> String {
        self.0.lock().log.iter().map(|line| format!("{line}\n")).collect()
    }
}
