//! `cargo xtask descriptors`: takes Envoy's own message descriptors out of its binary.
//!
//! Every `.proto` that Envoy links lies in its ELF file as a serialized `FileDescriptorProto`. Read from there, the set is
//! exact for that Envoy: no field too many, none missing. It is committed, and made anew at each Envoy bump.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use prost::Message as _;
use prost_types::FileDescriptorProto;

/// Files whose messages can stand in a resource, or in the bootstrap; what they import comes along.
const ROOTS: [&str; 7] =
    ["envoy/config/", "envoy/extensions/", "envoy/type/", "xds/", "udpa/", "validate/", "google/protobuf/"];

/// How far before `.proto` a file's name may begin, in bytes.
const LONGEST_NAME: usize = 256;

/// Take the protobuf descriptors out of an Envoy binary, for envoy/descriptors/
#[derive(Args)]
pub(crate) struct Descriptors {
    /// The Envoy binary
    envoy: PathBuf,
    /// Where to write the set; beside it goes a `.version` file with the binary's own version text
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Descriptors {
    pub(crate) fn run(&self) -> Result<()> {
        let version = version(&self.envoy)?;
        let number = version.split('/').nth(1).with_context(|| format!("no version number in {version:?}"))?;
        let default = || crate::paths::root().join(format!("envoy/descriptors/envoy-{number}.binpb"));
        let out = self.out.clone().unwrap_or_else(default);
        run(&self.envoy, &out)?;
        fs::write(out.with_extension("version"), format!("{version}\n"))
            .with_context(|| format!("write the version beside {}", out.display()))
    }
}

/// Writes the `FileDescriptorSet` of `envoy` to `out`.
pub(crate) fn run(envoy: &Path, out: &Path) -> Result<()> {
    let binary = fs::read(envoy).with_context(|| format!("read {}", envoy.display()))?;
    let files = closure(&find(&binary))?;
    let mut set = Vec::new();
    for file in files.values() {
        // The raw bytes, because decoding and encoding again would lose the constraint options.
        prost::encoding::bytes::encode(1, &file.to_vec(), &mut set);
    }
    fs::write(out, &set).with_context(|| format!("write {}", out.display()))?;
    println!("{} files, {} bytes in {}", files.len(), set.len(), out.display());
    Ok(())
}

/// What `envoy --version` says between `version:` and the end, as `<commit>/<number>/<state>/<build>/<tls>`.
fn version(envoy: &Path) -> Result<String> {
    let output =
        Command::new(envoy).arg("--version").output().with_context(|| format!("run {} --version", envoy.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_once("version:").map(|(_, version)| version.trim().to_owned());
    version.with_context(|| format!("{} --version printed {text:?}", envoy.display()))
}

/// All descriptors in `binary` by file name. A name may be found more than once; the longest one is the descriptor.
fn find(binary: &[u8]) -> BTreeMap<String, &[u8]> {
    const SUFFIX: &[u8] = b".proto";
    let mut found: BTreeMap<String, &[u8]> = BTreeMap::new();
    for end in memchr::memmem::find_iter(binary, SUFFIX).map(|at| at + SUFFIX.len()) {
        let Some(start) = start_of_descriptor(binary, end) else { continue };
        let bytes = &binary[start..end_of_descriptor(binary, start)];
        let Ok(file) = FileDescriptorProto::decode(bytes) else { continue };
        if file.package.is_none() && file.syntax.is_none() {
            continue;
        }
        let known = found.entry(file.name().to_owned()).or_insert(bytes);
        if known.len() < bytes.len() {
            *known = bytes;
        }
    }
    found
}

/// A descriptor begins with its name: tag 0x0a, a length that ends exactly at `end`, and the characters of a path.
fn start_of_descriptor(binary: &[u8], end: usize) -> Option<usize> {
    let path = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-".contains(byte);
    (end.saturating_sub(LONGEST_NAME)..end).rev().find(|&start| {
        binary[start] == 0x0a
            && varint(binary, start + 1).is_some_and(|(length, name)| {
                name.checked_add(length as usize) == Some(end) && name < end && binary[name..end].iter().all(path)
            })
    })
}

/// Walks the fields of a `FileDescriptorProto` until something comes that is none.
fn end_of_descriptor(binary: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(next) = after_field(binary, at) {
        // A second name is the next descriptor.
        if at > start && binary[at] == 0x0a {
            break;
        }
        at = next;
    }
    at
}

fn after_field(binary: &[u8], at: usize) -> Option<usize> {
    let (tag, value) = varint(binary, at)?;
    let (number, wire) = (tag >> 3, tag & 7);
    let (first, after) = varint(binary, value)?;
    let end = match (number, wire) {
        (1..=9 | 12, 2) => after.checked_add(usize::try_from(first).ok()?)?,
        (10 | 11 | 14, 0) => after,
        _ => return None,
    };
    (end <= binary.len()).then_some(end)
}

/// The varint at `at` and the position after it.
fn varint(binary: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in binary.get(at..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, at + index + 1));
        }
    }
    None
}

/// The files under [`ROOTS`] and everything they import.
fn closure<'a>(all: &BTreeMap<String, &'a [u8]>) -> Result<BTreeMap<String, &'a [u8]>> {
    let mut wanted: Vec<String> =
        all.keys().filter(|name| ROOTS.iter().any(|root| name.starts_with(root))).cloned().collect();
    let mut taken = BTreeMap::new();
    let mut missing = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let Some(bytes) = all.get(&name) else {
            missing.insert(name);
            continue;
        };
        if taken.insert(name, *bytes).is_none() {
            wanted.extend(FileDescriptorProto::decode(*bytes)?.dependency);
        }
    }
    if !missing.is_empty() {
        bail!("the binary has no descriptor of {missing:?}, which others import");
    }
    if taken.is_empty() {
        bail!("the file holds no protobuf descriptors: is it an Envoy binary?");
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, imports: &[&str]) -> Vec<u8> {
        let dependency = imports.iter().map(|import| (*import).to_owned()).collect();
        let (name, package) = (Some(name.to_owned()), Some("p".to_owned()));
        FileDescriptorProto { name, package, dependency, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn descriptors_are_found_between_other_bytes() {
        let (one, two) = (file("xds/one.proto", &["google/api/two.proto"]), file("google/api/two.proto", &[]));
        let binary =
            [&b"\x7fELF\x0a\x03abc"[..], &one, &two, b"\0\0xds/one.proto\0", &file("other.proto", &[])].concat();
        let all = find(&binary);
        assert_eq!(all.get("xds/one.proto"), Some(&one.as_slice()));
        assert_eq!(all.len(), 3);
        let taken = closure(&all).unwrap();
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["google/api/two.proto", "xds/one.proto"]);
    }

    #[test]
    fn a_missing_import_is_told() {
        let one = file("xds/one.proto", &["gone.proto"]);
        let error = closure(&find(&one)).unwrap_err().to_string();
        assert!(error.contains("gone.proto"), "{error}");
    }
}
