//! A file of contents by name, to which changes are appended: one write for each, whatever else is in it.
//!
//! When more than half of it is outdated it is written anew beside the old one, which it then replaces: so a change costs its
//! own size twice, on average. Nothing is synced: what a process has written is there after its death, and a loss of power
//! costs the last seconds.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use axoneme_xds::Key;
use bytes::Bytes;
use metrics::counter;

use super::frame::{Entry, Frames};
use crate::metrics::STATE_ERRORS;

const LOG: &str = "log";
/// The next one while it is written.
const NEXT: &str = "next";
/// Bytes that may be outdated in any case.
const SLACK: u64 = 1 << 20;

/// For its owner alone: there are private keys in it.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    file: File,
    /// The frames that count.
    live: BTreeMap<Key, Range<u64>>,
    /// Bytes of them.
    used: u64,
    /// Where the next frame goes.
    end: u64,
}

impl Log {
    /// Opens the log of a folder, makes both if needed. What else is in the folder is a log that was not finished, or of an
    /// earlier format: it goes. What is broken goes too, and both are said.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        sweep(&folder)?;
        let file = options().read(true).write(true).create(true).open(folder.join(LOG))?;
        let content = Bytes::from(fs::read(folder.join(LOG))?);
        let mut log = Self { folder, file, live: BTreeMap::new(), used: 0, end: content.len() as u64 };
        let mut frames = Frames::of(content);
        for (entry, place) in frames.by_ref() {
            let place = place.start as u64..place.end as u64;
            log.note(entry.key(), entry.content.is_some().then_some(place));
        }
        if frames.broken > 0 {
            counter!(STATE_ERRORS).increment(frames.broken as u64);
            let (folder, places) = (log.folder.display(), frames.broken);
            tracing::warn!(%folder, places, "broken places of the state skipped; the operator sends it again");
            log.rewrite()?;
        }
        Ok(log)
    }

    /// What counts, in order of the names.
    pub(super) fn load(&self) -> io::Result<Vec<(Key, Bytes)>> {
        let content = |(key, place): (&Key, &Range<u64>)| {
            let entry = Frames::of(Bytes::from(self.read(place)?)).next();
            Ok(entry.and_then(|(entry, _)| entry.content).map(|content| (key.clone(), content)))
        };
        self.live.iter().filter_map(|it| content(it).transpose()).collect()
    }

    /// What a name is from now on.
    pub(super) fn put(&mut self, key: &Key, content: Bytes) -> io::Result<()> {
        let place = self.append(&Entry::new(key, Some(content)))?;
        self.note(key.clone(), Some(place));
        self.tidy()
    }

    /// One that is not there is no error, and costs nothing. With the last one the file is empty.
    pub(super) fn remove(&mut self, key: &Key) -> io::Result<()> {
        if !self.live.contains_key(key) {
            return Ok(());
        }
        if self.live.len() == 1 {
            self.file.set_len(0)?;
            self.end = 0;
        } else {
            self.append(&Entry::new(key, None))?;
        }
        self.note(key.clone(), None);
        self.tidy()
    }

    pub(super) fn clear(self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }

    /// What a failed write leaves behind, the next one writes over.
    fn append(&mut self, entry: &Entry) -> io::Result<Range<u64>> {
        let frame = entry.seal().ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_all_at(&frame, self.end)?;
        let place = self.end..self.end + frame.len() as u64;
        self.end = place.end;
        Ok(place)
    }

    fn note(&mut self, key: Key, place: Option<Range<u64>>) {
        let length = |place: Range<u64>| place.end - place.start;
        self.used += place.clone().map_or(0, length);
        let before = match place {
            Some(place) => self.live.insert(key, place),
            None => self.live.remove(&key),
        };
        self.used -= before.map_or(0, length);
    }

    fn tidy(&mut self) -> io::Result<()> {
        if self.end > 2 * self.used + SLACK { self.rewrite() } else { Ok(()) }
    }

    /// Writes what counts to a new file, which takes the place of the old one. Costs all that counts.
    fn rewrite(&mut self) -> io::Result<()> {
        let (next, mut live, mut end) = (self.folder.join(NEXT), BTreeMap::new(), 0);
        let file = options().read(true).write(true).create(true).truncate(true).open(&next)?;
        let mut to = BufWriter::new(&file);
        for (key, place) in &self.live {
            let frame = self.read(place)?;
            to.write_all(&frame)?;
            let start = end;
            end += frame.len() as u64;
            live.insert(key.clone(), start..end);
        }
        to.flush()?;
        drop(to);
        fs::rename(next, self.folder.join(LOG))?;
        (self.file, self.live, self.used, self.end) = (file, live, end, end);
        Ok(())
    }

    fn read(&self, place: &Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(place.end - place.start).map_err(io::Error::other)?;
        let mut frame = vec![0; length];
        self.file.read_exact_at(&mut frame, place.start)?;
        Ok(frame)
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.mode(0o600);
    options
}

/// Takes away what is no log.
fn sweep(folder: &Path) -> io::Result<()> {
    let mut others = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != LOG {
            fs::remove_file(entry.path())?;
            others += 1;
        }
    }
    if others > 0 {
        let folder = folder.display();
        tracing::info!(%folder, others, "files that are no log of this version removed; the operator sends what was in them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("t".into(), name.into())
    }

    fn names(log: &Log) -> Vec<(String, Bytes)> {
        log.load().unwrap().into_iter().map(|(key, content)| (key.1.to_string(), content)).collect()
    }

    #[test]
    fn a_log_does_not_grow_with_the_number_of_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path().to_owned()).unwrap();
        let content = |number: usize| Bytes::from(vec![u8::try_from(number % 251).unwrap(); 10_000]);
        for name in ["a", "b"] {
            for number in 0..1000 {
                log.put(&key(name), content(number)).unwrap();
            }
        }
        let wanted = ["a", "b"].map(|name| (name.to_owned(), content(999)));
        assert_eq!(names(&log), wanted);
        let size = fs::metadata(folder.path().join(LOG)).unwrap().len();
        assert!(size < 2 * SLACK, "{size} bytes");
        log.remove(&key("a")).unwrap();
        drop(log);
        let mut log = Log::open(folder.path().to_owned()).unwrap();
        assert_eq!(names(&log), wanted[1..]);
        log.remove(&key("b")).unwrap();
        assert_eq!(fs::metadata(folder.path().join(LOG)).unwrap().len(), 0);
        log.put(&key("c"), "1".into()).unwrap();
        assert_eq!(names(&Log::open(folder.path().to_owned()).unwrap()), [("c".to_owned(), Bytes::from("1"))]);
    }

    #[test]
    fn a_write_that_was_cut_short_is_as_if_it_never_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(LOG);
        let mut log = Log::open(folder.path().to_owned()).unwrap();
        log.put(&key("a"), "1".into()).unwrap();
        let whole = fs::read(&file).unwrap().len();
        log.put(&key("a"), "2".into()).unwrap();
        let content = fs::read(&file).unwrap();
        for end in whole + 1..content.len() {
            fs::write(&file, &content[..end]).unwrap();
            let mut log = Log::open(folder.path().to_owned()).unwrap();
            assert_eq!(names(&log), [("a".to_owned(), Bytes::from("1"))]);
            assert_eq!(fs::read(&file).unwrap().len(), whole, "what is broken is gone");
            log.put(&key("b"), "3".into()).unwrap();
            assert_eq!(names(&Log::open(folder.path().to_owned()).unwrap()).len(), 2);
        }
    }

    #[test]
    fn files_of_an_earlier_format_and_unfinished_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        Log::open(folder.path().to_owned()).unwrap().put(&key("a"), "1".into()).unwrap();
        fs::write(folder.path().join("0123.record"), "old").unwrap();
        fs::write(folder.path().join(NEXT), "half").unwrap();
        assert_eq!(names(&Log::open(folder.path().to_owned()).unwrap()), [("a".to_owned(), Bytes::from("1"))]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
