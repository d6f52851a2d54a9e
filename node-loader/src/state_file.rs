//! What is in force, on disk: one small file per resource, so that an edit writes that resource only.
//!
//! A node that starts without its operator serves what it served before. Files are replaced atomically and checked by a
//! hash; a broken one is skipped, and the operator sends its resource again. There is no age limit. Private keys are among
//! them, so the folder is for its owner alone and should not outlive a boot.

mod folder;
mod suspects;

use std::{io, path::PathBuf, sync::Arc};

use axoneme_xds::{Key, Resource};
use bytes::Bytes;
use prost::Message;

use folder::Folder;
pub(crate) use suspects::SuspectFiles;

use crate::reconcile::Record;

/// Changes with the meaning of [`Stored`]; files of another kind are not read.
const KIND: &str = "axoneme.node.v1.Record";
const HASH_LEN: usize = 32;

/// The folder of a node's records.
#[derive(Debug)]
pub(crate) struct StateFiles(Folder);

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    /// The operator's, as it reported it.
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes = "bytes", tag = "4")]
    body: Bytes,
    #[prost(uint32, tag = "5")]
    number: u32,
}

impl StateFiles {
    /// Opens the folder, makes it if needed.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Folder::open(folder).map(Self)
    }

    /// Reads all records, sorted. Broken files are taken away, and said so.
    ///
    /// # Errors
    /// The system's, when the folder cannot be read.
    pub(crate) fn load(&self) -> io::Result<Vec<Record>> {
        let mut records = self.0.load(open)?;
        records.sort_by_key(|record| record.resource.key());
        Ok(records)
    }

    /// Puts or replaces a record.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn put(&self, record: &Record) -> io::Result<()> {
        self.0.put(&record.resource.key(), &seal(record))
    }

    /// Takes a record away; one that is not there is no error.
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

/// The record in a file's content. `None` when its hash is another or there is no record in it.
#[must_use]
pub fn open(content: Bytes) -> Option<Record> {
    opened(&content)?;
    Stored::decode(content.slice(HASH_LEN..)).ok().map(Record::from)
}

/// The content of a record's file.
#[must_use]
pub fn seal(record: &Record) -> Vec<u8> {
    sealed(&Stored::from(record).encode_to_vec())
}

impl From<&Record> for Stored {
    fn from(record: &Record) -> Self {
        let resource = &record.resource;
        Self {
            type_url: resource.type_url.to_string(),
            name: resource.name.to_string(),
            version: resource.version.to_string(),
            body: resource.body.clone(),
            number: record.number,
        }
    }
}

impl From<Stored> for Record {
    fn from(stored: Stored) -> Self {
        let Stored { type_url, name, version, body, number } = stored;
        let resource = Resource { type_url: type_url.into(), name: name.into(), version: version.into(), body };
        Self { resource, number }
    }
}

/// What is behind a hash, if that is right.
fn opened(content: &[u8]) -> Option<&[u8]> {
    let (hash, stored) = content.split_at_checked(HASH_LEN)?;
    (hash_of(stored).as_bytes() == hash).then_some(stored)
}

/// Bytes behind their hash.
#[must_use]
pub fn sealed(stored: &[u8]) -> Vec<u8> {
    [hash_of(stored).as_bytes(), stored].concat()
}

/// The content hash of resources does for records as well: stable, 32 hex digits.
fn hash_of(stored: &[u8]) -> Arc<str> {
    Resource::new(KIND, "", stored.to_vec()).version
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(name: &str, body: &str, number: u32) -> Record {
        Record { resource: Resource::new("t", name, body.to_owned()), number }
    }

    #[test]
    fn what_was_put_last_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles::open(folder.path().join("state")).unwrap();
        files.put(&record("b", "1", 1)).unwrap();
        files.put(&record("a/x:*", "2", 0)).unwrap();
        files.put(&record("b", "3", 2)).unwrap();
        files.put(&record("c", "4", 3)).unwrap();
        files.remove(&("t".into(), "c".into())).unwrap();
        files.remove(&("t".into(), "c".into())).unwrap();
        assert_eq!(files.load().unwrap(), [record("a/x:*", "2", 0), record("b", "3", 2)]);
        files.clear().unwrap();
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn a_broken_file_harms_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles::open(folder.path().to_owned()).unwrap();
        files.put(&record("a", "1", 1)).unwrap();
        files.put(&record("b", "2", 1)).unwrap();
        let broken = files.0.path(&("t".into(), "a".into()));
        let mut content = fs::read(&broken).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(&broken, content).unwrap();
        fs::write(folder.path().join("x.new"), "cut short").unwrap();
        assert_eq!(files.load().unwrap(), [record("b", "2", 1)]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
