//! A folder of YAML as a source of objects: read once, then followed file by file.
//!
//! An edit of one object is one event. Files are read when they are complete: after the writer closed them or moved them
//! into place, so that no editor's half-written file is ever taken for the user's will.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::source::SourceEvent;

mod folder;
mod manifest;

pub use folder::{FileProblem, Folder, Ignored, Location};

/// A file that was closed or moved into place is complete; several edits of one save come together.
const SETTLED: Duration = Duration::from_millis(2);

/// A file that was removed, moved away or just made: editors do so before they put the new text in place.
const UNSETTLED: Duration = Duration::from_millis(40);

/// Files with a fault that is not in their text.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it cannot.
        error: io::Error,
    },
    /// The folder cannot be followed.
    #[error("cannot watch {}: {error}", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why it cannot.
        error: notify::Error,
    },
}

/// Follows a folder.
#[derive(Debug)]
pub struct FileSource {
    root: PathBuf,
    folder: Folder,
    /// Files to read, and when.
    due: BTreeMap<PathBuf, Instant>,
    events: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    // Dropping it ends the watch.
    _watcher: RecommendedWatcher,
}

impl FileSource {
    /// Reads a folder, or one file, and begins to follow it. The events are one `Reset` for every kind.
    ///
    /// # Errors
    ///
    /// The folder does not exist, or the kernel's limit of watches is reached.
    pub fn open(root: &Path) -> Result<(Self, Vec<SourceEvent>), FolderError> {
        let (sender, events) = mpsc::unbounded_channel();
        let watch = |error| FolderError::Watch { path: root.to_owned(), error };
        let mut watcher = notify::recommended_watcher(move |event| {
            // The receiver is gone when the source is: nobody is interested then.
            let _ = sender.send(event);
        })
        .map_err(watch)?;
        // First watched, then read: nothing falls between.
        watcher.watch(root, RecursiveMode::Recursive).map_err(watch)?;
        let mut source =
            Self { root: root.to_owned(), folder: Folder::default(), due: BTreeMap::new(), events, _watcher: watcher };
        let mut files = Vec::new();
        list(root, &mut files).map_err(|error| FolderError::Read { path: root.to_owned(), error })?;
        for file in files {
            source.read(&file);
        }
        let resets = source.folder.resets();
        Ok((source, resets))
    }

    /// Waits for edits. Gives nothing but an edit of the list of problems when no object changed. `None` when the kernel
    /// tells no more.
    ///
    /// Safe to drop while it waits: no edit is lost.
    pub async fn next(&mut self) -> Option<Vec<SourceEvent>> {
        loop {
            let next_due = self.due.values().min().copied();
            tokio::select! {
                event = self.events.recv() => self.note(event?),
                () = sleep_until(next_due) => return Some(self.read_due()),
            }
        }
    }

    /// What the files say.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    fn note(&mut self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, folder = %self.root.display(), "the watch of the folder failed; reading all of it");
                self.due.insert(self.root.clone(), Instant::now());
                return;
            }
        };
        if event.need_rescan() {
            self.due.insert(self.root.clone(), Instant::now());
        }
        let wait = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => SETTLED,
            // Comes after the two events of its halves, and would only delay them.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => UNSETTLED,
            _ => return,
        };
        for path in event.paths {
            self.due.insert(path, Instant::now() + wait);
        }
    }

    fn read_due(&mut self) -> Vec<SourceEvent> {
        let now = Instant::now();
        let due: Vec<PathBuf> = self.due.iter().filter(|(_, at)| **at <= now).map(|(path, _)| path.clone()).collect();
        let mut events = Vec::new();
        for path in due {
            self.due.remove(&path);
            // A folder stands for everything that was in it and everything that is.
            let mut files: Vec<PathBuf> = self.folder.files_below(&path).cloned().collect();
            if list(&path, &mut files).is_err() {
                tracing::debug!(path = %path.display(), "gone again");
            }
            files.sort();
            files.dedup();
            events.extend(files.iter().flat_map(|file| self.read(file)));
        }
        events
    }

    fn read(&mut self, file: &Path) -> Vec<SourceEvent> {
        match std::fs::read_to_string(file) {
            Ok(text) => self.folder.update(file, Some(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.folder.update(file, None),
            Err(error) => {
                // Not gone, so what it said stays in force.
                tracing::warn!(file = %file.display(), %error, "cannot read the file; what it said stays in force");
                Vec::new()
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The YAML files at or below a path, hidden ones (an editor's, a version control's) left out.
///
/// # Errors
///
/// A folder cannot be read.
pub fn list(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        let yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
        if yaml && !is_hidden(path) && path.exists() {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if !is_hidden(&path) {
            list(&path, files)?;
        }
    }
    files.sort();
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests;
