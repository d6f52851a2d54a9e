//! What Envoy is not known to live with, on disk before it is sent: a loader that starts anew goes on with the same
//! suspects, and does not offer again what was quarantined.

use std::{io, path::PathBuf};

use axoneme_xds::Key;
use bytes::Bytes;
use prost::Message;

use super::{Log, Stored};
use crate::{quarantine::Suspect, reconcile::Record};

/// A node's suspects.
#[derive(Debug)]
pub(crate) struct SuspectFiles(Log);

#[derive(Clone, PartialEq, Message)]
struct StoredSuspect {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(uint64, repeated, tag = "2")]
    deaths: Vec<u64>,
    #[prost(bool, tag = "3")]
    quarantined: bool,
    /// The last version that Envoy is known to live with.
    #[prost(message, optional, tag = "4")]
    good: Option<Stored>,
}

impl SuspectFiles {
    /// Opens the folder, makes it if needed. What is broken in it is taken away, and said so.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Log::open(folder).map(Self)
    }

    /// Reads all suspects, sorted, each with the version to fall back to.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn load(&self) -> io::Result<Vec<(Suspect, Option<Record>)>> {
        Ok(self.0.load()?.into_iter().filter_map(|(key, content)| decode(key, content)).collect())
    }

    /// Puts or replaces a suspect.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn put(&mut self, suspect: &Suspect, good: Option<&Record>) -> io::Result<()> {
        let stored = StoredSuspect {
            version: suspect.version.to_string(),
            deaths: suspect.deaths.clone(),
            quarantined: suspect.quarantined,
            good: good.map(Stored::from),
        };
        self.0.put(&suspect.key, stored.encode_to_vec().into())
    }

    /// Takes a suspect away; one that is not there is no error.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn remove(&mut self, key: &Key) -> io::Result<()> {
        self.0.remove(key)
    }

    /// Takes everything away, the folder too.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn clear(self) -> io::Result<()> {
        self.0.clear()
    }
}

fn decode(key: Key, content: Bytes) -> Option<(Suspect, Option<Record>)> {
    let StoredSuspect { version, deaths, quarantined, good } = StoredSuspect::decode(content).ok()?;
    let good = good.map(|good| good.named(key.clone()));
    Some((Suspect { key, version: version.into(), deaths, quarantined }, good))
}

#[cfg(test)]
mod tests {
    use axoneme_xds::Resource;

    use super::*;

    #[test]
    fn what_was_put_last_is_loaded_with_what_to_fall_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = SuspectFiles::open(folder.path().join("suspects")).unwrap();
        let suspect = |name: &str, deaths: &[u64]| Suspect {
            key: ("t".into(), name.into()),
            version: "2".into(),
            deaths: deaths.to_vec(),
            quarantined: deaths.len() > 1,
        };
        let good = Record { resource: Resource::new("t", "b", "good"), number: 10_000 };
        files.put(&suspect("b", &[]), None).unwrap();
        files.put(&suspect("b", &[1, 4]), Some(&good)).unwrap();
        files.put(&suspect("a", &[4]), None).unwrap();
        files.put(&suspect("c", &[4]), None).unwrap();
        files.remove(&suspect("c", &[]).key).unwrap();
        assert_eq!(files.load().unwrap(), [(suspect("a", &[4]), None), (suspect("b", &[1, 4]), Some(good))]);
        let files = SuspectFiles::open(folder.path().join("suspects")).unwrap();
        assert_eq!(files.load().unwrap().len(), 2);
        files.clear().unwrap();
        assert!(!folder.path().join("suspects").exists());
    }
}
