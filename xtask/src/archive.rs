//! Container images without a container engine: a docker-format archive with one layer, the same bytes every time.
//!
//! `ctr images import`, `docker load` and `podman load` take it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// What goes into an image.
pub(crate) struct Image {
    /// `localhost/NAME:TAG`. Any tag but `latest` is never pulled.
    pub(crate) reference: String,
    pub(crate) entrypoint: Vec<String>,
    /// `UID[:GID]`; empty is root.
    pub(crate) user: String,
    /// Path in the image (absolute) -> file on this machine.
    pub(crate) files: BTreeMap<String, PathBuf>,
}

impl Image {
    /// An image of one static program.
    pub(crate) fn of(name: &str, program: &Path) -> Self {
        let inside = format!("/{}", name.rsplit('/').next().unwrap_or(name));
        Self {
            reference: format!("localhost/{name}:1"),
            entrypoint: vec![inside.clone()],
            user: String::new(),
            files: BTreeMap::from([(inside, program.to_owned())]),
        }
    }

    /// Writes the archive; what was at `out` is replaced in one step.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let layer = self.layer().with_context(|| format!("cannot make image {}", self.reference))?;
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": "/", "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask images"}],
        }))?;
        let config_name = format!("{}.json", hex(&config));
        let manifest = serde_json::to_vec(
            &json!([{"Config": config_name, "RepoTags": [self.reference], "Layers": ["layer.tar"]}]),
        )?;

        let partial = out.with_extension("partial");
        let file = File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        let mut archive = Builder::new(BufWriter::new(file));
        for (name, bytes) in [("manifest.json", &manifest), (config_name.as_str(), &config), ("layer.tar", &layer)] {
            append(&mut archive, name, EntryType::Regular, 0o644, bytes)?;
        }
        archive.into_inner()?.flush()?;
        crate::shell::put(&partial, out)
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        append(&mut layer, "etc/", EntryType::Directory, 0o755, &[])?;
        append(&mut layer, "etc/group", EntryType::Regular, 0o644, b"root:x:0:\nnonroot:x:65532:\n")?;
        let users = b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
        append(&mut layer, "etc/passwd", EntryType::Regular, 0o644, users)?;
        append(&mut layer, "tmp/", EntryType::Directory, 0o1777, &[])?;
        for (inside, file) in &self.files {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            append(&mut layer, inside.trim_start_matches('/'), EntryType::Regular, 0o755, &bytes)?;
        }
        Ok(layer.into_inner()?)
    }
}

fn append(archive: &mut Builder<impl Write>, name: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    Ok(archive.append_data(&mut header, name, bytes)?)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
