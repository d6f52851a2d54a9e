//! `--keep`: how to play with the demo.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use anyhow::Result;
use axoneme_testnet::{
    address,
    article::Article,
    mesh::{Mesh, Status},
};

use crate::paths;

/// Says how to play, and waits for Ctrl-C.
pub(crate) fn until_interrupted(stage: &Article, mesh: &Mesh, status: &Status, interrupt: &AtomicBool) -> Result<()> {
    let scripts = tempfile::Builder::new().prefix("axoneme-demo-").tempdir()?;
    for place in [&*stage.node, &stage.client, &stage.outside] {
        let script = scripts.path().join(&place.name);
        fs::write(&script, format!("#!/bin/sh\n# Runs a command in {}.\n{}\n", place.name, place.entry()))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    let frontends = status.redirects.values().flat_map(|redirect| &redirect.frontends);
    let address = frontends.map(|at| at.ip()).find(|at| at.is_ipv4() && address::is_balancer(*at));
    let address = address.map_or_else(String::new, |address| address.to_string());
    let programs = paths::target().join("debug");
    println!(
        "\nStill up. In another terminal:\n\n  export PATH=$PATH:{}:{}",
        scripts.path().display(),
        programs.display()
    );
    println!("  outside curl -i http://{address}/foo                 # from outside; also client2 (a pod) and node1");
    println!("  cd {}      # edit a file, ask again", stage.folder().display());
    println!("  node1 axonctl status --run-dir {}", mesh.run_dir().display());
    println!("\nCtrl-C ends it.");
    while !interrupt.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(100));
    }
    println!();
    Ok(())
}
