//! The rules of `docs/ARCHITECTURE.md` about who may depend on whom, held against what cargo resolves.

use anyhow::{Result, bail};

use crate::shell;

/// Packages, and the beginnings of names that must not be in their trees.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    // The node-loader knows the kernel and nothing of Kubernetes; reflection over Envoy's messages costs 15 MB.
    ("axoneme-node", &["kube", "k8s-", "axoneme-operator", "prost-reflect"]),
    ("axoneme-operator", &["aya", "rtnetlink", "axoneme-node", "axoneme-bpf"]),
    ("axoneme-api", &["axoneme-"]),
    ("axoneme-xds", &["axoneme-"]),
    ("axoneme-envoy", &["axoneme-"]),
    ("axoneme-bpf-common", &["axoneme-"]),
    ("axoneme-hostkey", &[""]),
];

/// Fails with every dependency that a rule forbids.
pub(crate) fn check() -> Result<()> {
    let mut broken = Vec::new();
    for (package, forbidden) in FORBIDDEN {
        let mut tree = shell::cargo();
        tree.args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let tree = shell::output(tree.args(["--package", package]))?;
        for dependency in tree.lines().filter_map(|line| line.split(' ').next()) {
            if dependency != package && forbidden.iter().any(|start| dependency.starts_with(start)) {
                broken.push(format!("{package} must not depend on {dependency}"));
            }
        }
    }
    broken.sort();
    broken.dedup();
    if broken.is_empty() { Ok(()) } else { bail!("{}; see docs/ARCHITECTURE.md", broken.join("; ")) }
}
