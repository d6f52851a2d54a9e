//! A folder of small files, one for each resource, replaced atomically.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use axoneme_xds::{Key, Resource};
use bytes::Bytes;

const SUFFIX: &str = "record";

/// For its owner alone: there are private keys in it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Reads all files. Broken ones are taken away, and said so.
    pub(super) fn load<T>(&self, decode: impl Fn(Bytes) -> Option<T>) -> io::Result<Vec<T>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            match read(&path).and_then(&decode) {
                Some(one) => all.push(one),
                None => {
                    metrics::counter!(crate::metrics::STATE_ERRORS).increment(1);
                    tracing::warn!(file = %path.display(), "broken state file skipped; the operator will send it again");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(all)
    }

    pub(super) fn put(&self, key: &Key, content: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let fresh = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, content)?;
        fs::rename(fresh, path)
    }

    /// One that is not there is no error.
    pub(super) fn remove(&self, key: &Key) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn clear(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.0)
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        let digest = Resource::new(key.0.clone(), key.1.clone(), key.1.as_bytes().to_vec()).version;
        self.0.join(format!("{digest}.{SUFFIX}"))
    }
}

fn read(path: &Path) -> Option<Bytes> {
    path.extension().filter(|suffix| *suffix == SUFFIX)?;
    Some(fs::read(path).ok()?.into())
}
