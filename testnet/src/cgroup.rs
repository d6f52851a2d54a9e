//! Control groups: what kills a lab's processes, all and at once, and what a dead lab is known by.
//!
//! A lab's directory lies at the root of cgroup2 and is locked (`flock`) by the process that owns the lab. The lock ends with
//! that process, however it ends. So an unlocked directory is a dead lab, and there is no other registry to go stale.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{Error, Result};

/// What the directory of every lab begins with.
const PREFIX: &str = "axoneme-lab-";

/// The locked directory of a lab.
#[derive(Debug)]
pub(crate) struct LabGroup {
    pub(crate) path: PathBuf,
    _lock: Flock<File>,
}

impl LabGroup {
    /// Makes and locks the directory of lab `id`, which must be unique among the living labs of this machine.
    pub(crate) fn create(id: &str) -> Result<Self> {
        let path = root()?.join(format!("{PREFIX}{id}"));
        // A sweep may take the directory away between the two steps; it does so at most once per sweep.
        for _ in 0..100 {
            make(&path)?;
            if let Some(lock) = lock(&path, FlockArg::LockExclusive)? {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(Error::Name {
            what: "lab",
            name: id.to_owned(),
            why: "its control group is removed as often as it is made",
        })
    }
}

impl Drop for LabGroup {
    fn drop(&mut self) {
        // What cannot be removed now is for the next sweep.
        drop(remove(&self.path));
    }
}

/// Kills and removes every lab whose owner is gone. Returns the names of their directories.
pub(crate) fn sweep() -> Result<Vec<String>> {
    let root = root()?;
    let entries = fs::read_dir(&root).map_err(Error::io(format!("read {}", root.display())))?;
    let mut swept = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(PREFIX) {
            continue;
        }
        // Held while it is removed: of two who sweep at a time, the second would not find what the first has removed.
        if let Some(_lock) = lock(&entry.path(), FlockArg::LockExclusiveNonblock)? {
            remove(&entry.path())?;
            swept.push(name);
        }
    }
    Ok(swept)
}

/// Makes a directory for processes; it is fine if it is there.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(format!("make control group {}", path.display())))
}

/// Kills every process in `path` and below, waits until they are gone, and removes the directories.
fn remove(path: &Path) -> Result<()> {
    let failed = || format!("remove control group {}", path.display());
    fs::write(path.join("cgroup.kill"), "1").map_err(Error::io(failed()))?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match remove_tree(path) {
            // A killed process holds its group until the kernel is done with it.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {
                sleep(Duration::from_millis(2));
            }
            result => return result.map_err(Error::io(failed())),
        }
    }
}

/// Only directories can be removed in cgroup2; their files go with them.
fn remove_tree(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Locks a directory; `None` if another process has the lock, or if the directory is not the one at `path` any more.
pub(crate) fn lock(path: &Path, how: FlockArg) -> Result<Option<Flock<File>>> {
    let Ok(file) = File::open(path) else { return Ok(None) };
    let lock = match Flock::lock(file, how) {
        Ok(lock) => lock,
        Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
        Err((_, error)) => return Err(Error::io(format!("lock {}", path.display()))(error.into())),
    };
    let locked = lock.metadata().map_err(Error::io(format!("look at {}", path.display())))?;
    Ok(fs::metadata(path).is_ok_and(|now| now.ino() == locked.ino()).then_some(lock))
}

/// Where cgroup2 is mounted: `/sys/fs/cgroup`, or below it on a machine that has version 1 too.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(Error::io("read /proc/self/mounts"))?;
    let cgroup2 = |line: &str| {
        let mut fields = line.split(' ');
        let (_, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    };
    mounts.lines().find_map(cgroup2).ok_or(Error::NoCgroup2)
}
