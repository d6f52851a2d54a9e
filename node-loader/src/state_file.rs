//! What is in force, on disk: a log of resources, so that an edit writes that resource only.
//!
//! A node that starts without its operator serves what it served before. Each entry is checked by itself; a broken one is skipped,
//! and the operator sends its resource again. There is no age limit. Private keys are among them, so the folder is for its owner
//! alone and should not outlive a boot. See ADR 37.

mod frame;
mod log;
mod suspects;

use std::{io, path::PathBuf};

use axoneme_xds::{Key, Resource};
use bytes::Bytes;
use prost::Message;

use frame::{Entry, Frames};
use log::Log;
pub(crate) use suspects::SuspectFiles;

use crate::reconcile::Record;

/// A node's records.
#[derive(Debug)]
pub(crate) struct StateFiles(Log);

/// A record without its name.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    /// The operator's, as it reported it.
    #[prost(string, tag = "1")]
    version: String,
    #[prost(bytes = "bytes", tag = "2")]
    body: Bytes,
    #[prost(uint32, tag = "3")]
    number: u32,
}

impl StateFiles {
    /// Opens the folder, makes it if needed. What is broken in it is taken away, and said so.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Log::open(folder).map(Self)
    }

    /// Reads all records, sorted.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn load(&self) -> io::Result<Vec<Record>> {
        Ok(self.0.load()?.into_iter().filter_map(|(key, content)| record(key, content)).collect())
    }

    /// Puts or replaces a record.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn put(&mut self, record: &Record) -> io::Result<()> {
        self.0.put(&record.resource.key(), Stored::from(record).encode_to_vec().into())
    }

    /// Takes a record away; one that is not there is no error.
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

/// The records in a file's content, in order: of several of a name the last counts. Broken ones are left out.
#[must_use]
pub fn read(content: Bytes) -> Vec<Record> {
    Frames::of(content).filter_map(|(entry, _)| record(entry.key(), entry.content?)).collect()
}

/// A record as it stands in the file. Empty if it is beyond 4 GiB.
#[must_use]
pub fn seal(record: &Record) -> Vec<u8> {
    let content = Stored::from(record).encode_to_vec();
    Entry::new(&record.resource.key(), Some(content.into())).seal().unwrap_or_default()
}

/// Bytes, whatever they are, as a record would stand in the file: with a checksum that fits.
#[must_use]
pub fn sealed(stored: &[u8]) -> Vec<u8> {
    frame::frame(stored).unwrap_or_default()
}

fn record(key: Key, content: Bytes) -> Option<Record> {
    Stored::decode(content).ok().map(|stored| stored.named(key))
}

impl Stored {
    fn named(self, (type_url, name): Key) -> Record {
        let Self { version, body, number } = self;
        Record { resource: Resource { type_url, name, version: version.into(), body }, number }
    }
}

impl From<&Record> for Stored {
    fn from(record: &Record) -> Self {
        let resource = &record.resource;
        Self { version: resource.version.to_string(), body: resource.body.clone(), number: record.number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, body: &str, number: u32) -> Record {
        Record { resource: Resource::new("t", name, body.to_owned()), number }
    }

    #[test]
    fn what_was_put_last_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = StateFiles::open(folder.path().join("state")).unwrap();
        files.put(&record("b", "1", 1)).unwrap();
        files.put(&record("a/x:*", "2", 0)).unwrap();
        files.put(&record("b", "3", 2)).unwrap();
        files.put(&record("c", "4", 3)).unwrap();
        files.remove(&("t".into(), "c".into())).unwrap();
        files.remove(&("t".into(), "c".into())).unwrap();
        let wanted = [record("a/x:*", "2", 0), record("b", "3", 2)];
        assert_eq!(files.load().unwrap(), wanted);
        let files = StateFiles::open(folder.path().join("state")).unwrap();
        assert_eq!(files.load().unwrap(), wanted);
        files.clear().unwrap();
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn records_of_a_file_are_read_in_order() {
        let all = [record("a", "1", 1), record("b", "2", 0), record("a", "3", 1)];
        let content = all.iter().flat_map(seal).collect::<Vec<_>>();
        assert_eq!(read(content.into()), all);
    }
}
