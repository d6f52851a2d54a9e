//! A folder of manifests, as a user edits it.
//!
//! It is locked by the process that owns it, as a lab's control group is: one that nobody has locked was left by a process that
//! was killed.

use std::{env, fs, fs::File, path::Path};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::{Error, Result, cgroup::lock};

/// What the name of every such folder begins with.
const PREFIX: &str = "axoneme-folder-";

/// A folder for `axonctl up`. It goes with its handle.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    _lock: Flock<File>,
}

impl Folder {
    /// An empty one. Removes those that were left first.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        // What cannot be removed now is in nobody's way, and for the next one.
        drop(sweep(&env::temp_dir()));
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir();
            let folder = folder.map_err(Error::io("make a folder for the manifests"))?;
            // Somebody who sweeps may take it away between the two steps.
            if let Some(lock) = lock(folder.path(), FlockArg::LockExclusive)? {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
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

/// Removes the folders whose owners are gone.
fn sweep(parent: &Path) -> Result<()> {
    let entries = fs::read_dir(parent).map_err(Error::io(format!("read {}", parent.display())))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if let Some(_lock) = lock(&entry.path(), FlockArg::LockExclusiveNonblock)? {
            fs::remove_dir_all(entry.path()).map_err(Error::io(format!("remove {}", entry.path().display())))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_owner_left_is_swept_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let [left, used] = ["left", "used"].map(|name| parent.path().join(format!("{PREFIX}{name}")));
        let other = parent.path().join("somebody-elses");
        for folder in [&left, &used, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("web.yaml"), "").unwrap();
        }
        let in_use = lock(&used, FlockArg::LockExclusive).unwrap();
        sweep(parent.path()).unwrap();
        assert_eq!([&left, &used, &other].map(|folder| folder.exists()), [false, true, true]);
        drop(in_use);
        sweep(parent.path()).unwrap();
        assert_eq!([&left, &used, &other].map(|folder| folder.exists()), [false, false, true]);
    }

    #[test]
    fn a_folder_is_in_use_until_its_end() {
        let folder = Folder::new().unwrap();
        assert!(lock(folder.path(), FlockArg::LockExclusiveNonblock).unwrap().is_none());
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
