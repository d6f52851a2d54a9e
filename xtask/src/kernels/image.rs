//! A machine's only file system.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    cpio::Archive,
    package::Files,
    programs::{self, Programs},
};

/// The first process. Its last line is what [`super::machine`] waits for.
const INIT: &str = include_str!("init.sh");

/// What goes into the file system.
pub(super) struct Image<'a> {
    pub(super) kernel: &'a Files,
    pub(super) programs: &'a Programs,
    /// Only tests whose names contain this.
    pub(super) filter: Option<&'a str>,
}

impl Image<'_> {
    /// Writes the archive and gives its file.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let file = programs::work_folder()?.join(format!("{}.cpio", self.kernel.series));
        let failed = || format!("cannot write {}", file.display());
        let mut archive = Archive::create(&file).with_context(failed)?;
        for folder in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var"] {
            archive.folder(folder)?;
        }
        archive.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")?;
        // By which nft knows protocols by name.
        if let Ok(protocols) = fs::read("/etc/protocols") {
            archive.file("etc/protocols", &protocols)?;
        }
        archive.file("etc/filter", self.filter.unwrap_or_default().as_bytes())?;
        archive.file("init", INIT.as_bytes())?;
        programs::pack_tests(self.programs, &mut archive)?;
        programs::pack_tools(self.programs, &mut archive)?;
        let modules = self.kernel.modules.join("lib/modules").join(&self.kernel.release);
        pack(&modules, &format!("lib/modules/{}", self.kernel.release), &mut archive)?;
        archive.finish().with_context(failed)?;
        Ok(file)
    }
}

/// A folder with all that is in it.
fn pack(folder: &Path, to: &str, archive: &mut Archive) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = format!("{to}/{}", path.file_name().context("no name")?.to_string_lossy());
        if path.is_dir() {
            pack(&path, &name, archive)?;
        } else {
            archive.file(&name, &fs::read(&path)?)?;
        }
    }
    Ok(())
}
