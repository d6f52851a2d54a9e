//! A node with pods, and a mesh that follows a folder.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use axoneme_testnet::{
    Folder, Lab, Layout, Namespace, Node, Process, Result, built, envoy,
    mesh::{Mesh, Programs},
    wait_until,
};
use tempfile::TempDir;

use crate::log;

/// How long one thing may take on a busy machine. Usually it is some milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Where the backends listen.
pub(crate) const PORT: u16 = 8080;

static ECHO: LazyLock<PathBuf> = LazyLock::new(|| built("axoneme-echo").unwrap());

/// A lab with one node.
pub(crate) struct Stage {
    // The order of the fields is the order of the end: the lab last.
    /// The manifests.
    pub(crate) folder: Folder,
    /// A pod that asks.
    pub(crate) client: Namespace,
    node: Node,
    run_dir: TempDir,
    _lab: Lab,
}

impl Stage {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut lab = Lab::new(name)?;
        let mut node = lab.node("node1", Layout::Routed)?;
        let client = node.pod("client")?;
        Ok(Self { folder: Folder::new()?, client, node, run_dir: tempfile::tempdir().unwrap(), _lab: lab })
    }

    /// A pod for a backend.
    pub(crate) fn pod(&mut self, name: &str) -> Result<Namespace> {
        self.node.pod(name)
    }

    /// Follows the folder from now on.
    pub(crate) fn mesh(&self) -> Result<Mesh> {
        let programs = Programs { axonctl: env!("CARGO_BIN_EXE_axonctl").into(), envoy: envoy()? };
        let more = ["--log", log::FILTER];
        Mesh::up_with(&self.node, &programs, self.folder.path(), self.run_dir.path(), &more)
    }
}

/// Starts a backend that answers with the name of its pod.
pub(crate) fn serve(pod: &Namespace) -> Result<Process> {
    let server = pod.spawn(&*ECHO, ["--listen", &format!(":{PORT}"), "--text", &pod.name])?;
    wait_until("a backend to listen", SOON, || Ok(server.log()?.contains("listens")))?;
    Ok(server)
}

/// The end of what `axonctl up` said.
pub(crate) fn last_words(mesh: &Mesh) -> String {
    let log = mesh.process().log().unwrap();
    let end = log.rmatch_indices('\n').map(|(at, _)| at + 1).nth(200);
    log[end.unwrap_or(0)..].to_owned()
}
