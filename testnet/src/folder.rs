//! A folder of manifests, as a user edits it.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{Error, Result};

/// A folder for `axonctl up`. It goes with its handle.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("axoneme-manifests-").tempdir();
        folder.map(Self).map_err(Error::io("make a folder for the manifests"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file into the folder, at once and whole, as careful editors do.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let failed = || format!("write {file}");
        let (path, new) = (self.path().join(file), self.path().join(format!(".{file}.new")));
        fs::write(&new, text).map_err(Error::io(failed()))?;
        fs::rename(&new, &path).map_err(Error::io(failed()))
    }

    /// Changes a file by replacing every `old` with `new`.
    ///
    /// # Errors
    /// If `old` is not in it.
    pub fn edit(&self, file: &str, old: &str, new: &str) -> Result<()> {
        let text = fs::read_to_string(self.path().join(file)).map_err(Error::io(format!("read {file}")))?;
        if !text.contains(old) {
            return Err(Error::Name { what: "text", name: old.to_owned(), why: "the file to edit does not have it" });
        }
        self.write(file, &text.replace(old, new))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete(&self, file: &str) -> Result<()> {
        fs::remove_file(self.path().join(file)).map_err(Error::io(format!("delete {file}")))
    }
}
