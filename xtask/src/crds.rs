//! The CRDs of the chart `axoneme-crds`, generated from the Rust types. They are committed, and CI diffs them.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use axoneme_api::cec;
use clap::Args;

use crate::paths;

const FOLDER: &str = "charts/axoneme-crds/templates";

/// Generate the CRDs of charts/axoneme-crds.
#[derive(Args)]
pub(crate) struct Crds {
    /// Write nothing, fail where the committed files differ.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Crds {
    pub(crate) fn run(self) -> Result<()> {
        let folder = paths::root().join(FOLDER);
        for (name, wanted) in generate()? {
            let path = folder.join(&name);
            let same = fs::read_to_string(&path).is_ok_and(|there| there == wanted);
            match (same, self.check) {
                (true, _) => {}
                (false, true) => {
                    bail!("{FOLDER}/{name} is not what the Rust types say: run `cargo xtask crds` and commit")
                }
                (false, false) => {
                    fs::create_dir_all(&folder)?;
                    fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
                    println!("wrote {FOLDER}/{name}");
                }
            }
        }
        Ok(())
    }
}

/// File name -> YAML.
fn generate() -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for mut crd in cec::crds() {
        // Uninstalling the chart must not delete every object of the kind.
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
        let yaml = serde_yaml::to_string(&crd).context("a CRD does not serialise")?;
        let header = "# Generated from the Rust types by `cargo xtask crds`. Do not edit.\n";
        files.insert(format!("{}.yaml", crd.spec.names.plural), format!("{header}{yaml}"));
    }
    Ok(files)
}
