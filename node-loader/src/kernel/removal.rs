//! Takes pins away, and with them what they kept alive: links, filters, maps.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    clsact,
    detach::detach,
    pins::{Pins, device_of, is_link, subfolders},
};

/// Takes away what earlier layouts left; links first, so that no program runs without its maps being fed.
pub(crate) fn remove_other_layouts(pins: &Pins) -> io::Result<Vec<PathBuf>> {
    let others = pins.other_layouts()?;
    others.iter().try_for_each(|folder| remove_folder(folder))?;
    Ok(others)
}

/// Takes away everything below `base`, and `base`. What is not there is no error.
pub(crate) fn remove_all(base: &Path) -> io::Result<()> {
    let folders = match subfolders(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folders => folders?,
    };
    for folder in folders {
        remove_folder(&folder)?;
    }
    fs::remove_dir(base)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    // Maps last: a bpffs lists in no order that we could rely on.
    files.sort_by_key(|file| !is_link(file));
    for file in files {
        if file.is_symlink() {
            device_of(&file).map_or(Ok(()), |index| clsact::detach(index, &file))?;
        } else if is_link(&file)
            && let Err(error) = detach(&file)
        {
            tracing::debug!(link = %file.display(), %error, "not detached at once; it goes with its pin");
        }
        fs::remove_file(file)?;
    }
    fs::remove_dir(folder)
}
