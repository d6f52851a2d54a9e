//! The folder on the bpffs that keeps maps and links alive without us.
//!
//! Links of devices are named by the device's number: names may hold dots, which a bpffs refuses, and may change. Where the kernel
//! has no such links, [`clsact`](super::clsact) keeps its records in their places.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axoneme_bpf_common::LAYOUT_HASH;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::datapath::DatapathError;

/// Prefix of the links of devices.
const DEVICE: &str = "device_";

/// The folder of this layout: `<pin dir>/<layout hash>`.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    base: PathBuf,
    folder: PathBuf,
}

impl Pins {
    /// Opens the folder, made when missing.
    pub(crate) fn open(base: &Path) -> Result<Self, DatapathError> {
        let folder = base.join(format!("{LAYOUT_HASH:016x}"));
        let refused = |message: String| DatapathError::PinDirectory { path: base.to_owned(), message };
        // The folder may be on a path that does not exist at all; the nearest one that does tells what is mounted there.
        let nearest = base.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let mounted = statfs(nearest).map_err(|errno| refused(errno.to_string()))?.filesystem_type();
        if mounted != BPF_FS_MAGIC {
            return Err(refused("is not on a bpffs; mount one there first: mount -t bpf bpf /sys/fs/bpf".to_owned()));
        }
        fs::create_dir_all(&folder).map_err(|error| refused(format!("cannot be made: {error}")))?;
        Ok(Self { base: base.to_owned(), folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the link of a device is pinned.
    pub(crate) fn device(&self, index: u32) -> PathBuf {
        Self::device_in(&self.folder, index)
    }

    /// The same in the folder of any layout.
    pub(crate) fn device_in(folder: &Path, index: u32) -> PathBuf {
        folder.join(format!("{DEVICE}{index}"))
    }

    /// Where another link is pinned.
    pub(crate) fn link(&self, name: &str) -> PathBuf {
        self.folder.join(format!("link_{name}"))
    }

    /// The devices that have a pinned link.
    pub(crate) fn devices(&self) -> io::Result<Vec<u32>> {
        Self::devices_in(&self.folder)
    }

    /// The same for the folder of any layout.
    pub(crate) fn devices_in(folder: &Path) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries.iter().filter_map(|entry| device_of(&entry.path())).collect())
    }

    /// The folders of earlier layouts, each with its maps by name.
    pub(crate) fn other_layouts(&self) -> io::Result<Vec<PathBuf>> {
        Ok(subfolders(&self.base)?.into_iter().filter(|folder| *folder != self.folder).collect())
    }
}

/// One for each layout.
pub(super) fn subfolders(base: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(base)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir()).collect())
}

/// Whether a link is pinned here, or the record of a filter in its place.
pub(super) fn is_link(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(DEVICE) || name.starts_with("link_")
}

/// The device that a pinned link is of.
pub(super) fn device_of(file: &Path) -> Option<u32> {
    file.file_name()?.to_str()?.strip_prefix(DEVICE)?.parse().ok()
}
