//! What Envoy is not known to live with, on disk before it is sent: a loader that starts anew goes on with the same
//! suspects, and does not offer again what was quarantined.

use std::{io, path::PathBuf};

use axoneme_xds::Key;
use bytes::Bytes;
use prost::Message;

use super::{Folder, Stored, opened, sealed};
use crate::{quarantine::Suspect, reconcile::Record};

/// The folder of a node's suspects.
#[derive(Debug)]
pub(crate) struct SuspectFiles(Folder);

#[derive(Clone, PartialEq, Message)]
struct StoredSuspect {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(uint64, repeated, tag = "4")]
    deaths: Vec<u64>,
    #[prost(bool, tag = "5")]
    quarantined: bool,
    /// The last version that Envoy is known to live with.
    #[prost(message, optional, tag = "6")]
    good: Option<Stored>,
}

impl SuspectFiles {
    /// Opens the folder, makes it if needed.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Folder::open(folder).map(Self)
    }

    /// Reads all suspects, sorted, each with the version to fall back to.
    ///
    /// # Errors
    /// The system's, when the folder cannot be read.
    pub(crate) fn load(&self) -> io::Result<Vec<(Suspect, Option<Record>)>> {
        let mut all = self.0.load(decode)?;
        all.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        Ok(all)
    }

    /// Puts or replaces a suspect.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn put(&self, suspect: &Suspect, good: Option<&Record>) -> io::Result<()> {
        let stored = StoredSuspect {
            type_url: suspect.key.0.to_string(),
            name: suspect.key.1.to_string(),
            version: suspect.version.to_string(),
            deaths: suspect.deaths.clone(),
            quarantined: suspect.quarantined,
            good: good.map(Stored::from),
        };
        self.0.put(&suspect.key, &sealed(&stored.encode_to_vec()))
    }

    /// Takes a suspect away; one that is not there is no error.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn remove(&self, key: &Key) -> io::Result<()> {
        self.0.remove(key)
    }

    /// Takes everything away, the folder too.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.0.clear()
    }
}

fn decode(content: Bytes) -> Option<(Suspect, Option<Record>)> {
    let stored = StoredSuspect::decode(opened(&content)?).ok()?;
    let suspect = Suspect {
        key: (stored.type_url.into(), stored.name.into()),
        version: stored.version.into(),
        deaths: stored.deaths,
        quarantined: stored.quarantined,
    };
    Some((suspect, stored.good.map(Record::from)))
}

#[cfg(test)]
mod tests {
    use axoneme_xds::Resource;

    use super::*;

    #[test]
    fn what_was_put_last_is_loaded_with_what_to_fall_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let files = SuspectFiles::open(folder.path().join("suspects")).unwrap();
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
        std::fs::write(files.0.path(&suspect("a", &[]).key), "cut short").unwrap();
        assert_eq!(files.load().unwrap().len(), 1, "a broken file harms itself only");
        files.clear().unwrap();
        assert!(!folder.path().join("suspects").exists());
    }
}
