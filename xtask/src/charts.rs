//! The charts: they are well-formed, and an upgrade that keeps the values of an older chart renders.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{cluster::binaries, paths, shell};

/// Values that the first chart did not have: with `helm upgrade --reuse-values` they are not there.
const LATER: [&str; 5] = [
    "ingress",
    "node.envoy.module",
    "operator.forbidForeignBackends",
    "operator.nodeGrace",
    "operator.useOriginalSourceAddress",
];

pub(crate) fn check() -> Result<()> {
    shell::run(helm()?.args(["lint", "--strict", "--quiet", "charts/axoneme", "charts/axoneme-crds"]))?;
    let rendered = |values: &[String]| {
        shell::output(helm()?.args(["template", "axoneme", "charts/axoneme", "--namespace", "axoneme"]).args(values))
    };
    let without = LATER.map(|value| format!("--set={value}=null"));
    let (new, old) = (rendered(&[])?, rendered(&without)?);
    let differs = new.lines().zip(old.lines()).find(|(new, old)| new != old);
    ensure!(
        new == old,
        "without the values {LATER:?} the chart renders otherwise than with their defaults: {differs:?}"
    );
    Ok(())
}

fn helm() -> Result<Command> {
    let mut helm = Command::new(binaries::ensure()?.join("bin/helm"));
    helm.current_dir(paths::root());
    Ok(helm)
}
