//! The archive that a kernel unpacks as its first file system: cpio in the form `newc`, as the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst` has it.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// An archive that is being written. Folders come by themselves.
pub(super) struct Archive {
    file: BufWriter<File>,
    /// Also the number of the last entry.
    count: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    pub(super) fn create(file: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(File::create(file)?), count: 0, folders: BTreeSet::new() })
    }

    /// An empty folder; `path` begins at the root.
    pub(super) fn folder(&mut self, path: &str) -> io::Result<()> {
        let name = path.trim_matches('/');
        if name.is_empty() || !self.folders.insert(name.to_owned()) {
            return Ok(());
        }
        self.parents(name)?;
        self.entry(name, FOLDER, &[])
    }

    /// A file that may be run.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let name = path.trim_matches('/');
        self.parents(name)?;
        self.entry(name, PROGRAM, content)
    }

    pub(super) fn link(&mut self, path: &str, to: &str) -> io::Result<()> {
        let name = path.trim_matches('/');
        self.parents(name)?;
        self.entry(name, LINK, to.as_bytes())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.file.flush()
    }

    fn parents(&mut self, name: &str) -> io::Result<()> {
        name.rsplit_once('/').map_or(Ok(()), |(parent, _)| self.folder(parent))
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.count += 1;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_length = name.len() as u32 + 1;
        // Number, mode, user, group, links, time, length, four of devices, length of the name, a sum that is not looked at.
        let fields = [self.count, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        let header: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        let head = format!("070701{header}{name}\0");
        self.padded(head.as_bytes())?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.file.write_all(&[0; 3][..padding])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_kernel_reads() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut archive = Archive::create(file.path()).unwrap();
        archive.file("/bin/sh", b"#").unwrap();
        archive.folder("/bin/").unwrap();
        archive.link("/sbin", "bin").unwrap();
        archive.finish().unwrap();
        let text = String::from_utf8(std::fs::read(file.path()).unwrap()).unwrap();
        let entry = |number: u32, mode: u32, length: u32, name: &str| {
            format!(
                "070701{number:08x}{mode:08x}{0:016x}{1:08x}{0:08x}{length:08x}{0:032x}{2:08x}{0:08x}{name}\0",
                0,
                1,
                name.len() + 1
            )
        };
        let expected = [
            entry(1, FOLDER, 0, "bin") + "\0\0",
            entry(2, PROGRAM, 1, "bin/sh") + "\0\0\0" + "#\0\0\0",
            entry(3, LINK, 3, "sbin") + "\0" + "bin\0",
            entry(4, 0, 0, "TRAILER!!!") + "\0\0\0",
        ];
        assert_eq!(text, expected.concat());
    }
}
