//! What is looked at: manifests, or a cluster. Either way it is the operator's own engine that knows what becomes of it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use axoneme_envoy::Policy;
use axoneme_operator::{Engine, Kind, file_source::Folder, yaml};

use crate::input::Input;

pub(crate) mod cluster;

/// Everything that an answer is taken from.
pub(crate) struct World {
    pub(crate) engine: Engine,
    /// Where objects stand in files, when they come from files.
    pub(crate) folder: Folder,
    /// Who asks.
    pub(crate) node: String,
    /// What a name without a namespace means.
    pub(crate) namespace: String,
    /// What to keep in mind of the answer.
    pub(crate) notes: Vec<String>,
    /// And where it matters which node asks.
    pub(crate) node_note: Option<String>,
}

/// Where the client is.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Anywhere,
    Node(String),
    Pod { namespace: String, name: String },
}

/// Manifests, with addresses as `axonctl up` gives them.
pub(crate) fn of_files(paths: &[PathBuf], policy: Policy, client: Client, namespace: Option<String>) -> Result<World> {
    let Input { engine, folder, texts } = Input::read(paths, policy)?;
    let notes: Vec<String> = folder
        .problems()
        .into_iter()
        .map(|problem| {
            let (path, line) = (problem.location.path.display(), problem.location.position.line);
            format!("{path}:{line}: {}", problem.message)
        })
        .collect();
    let mut namespace_of_pod = None;
    let node = match client {
        Client::Anywhere => "local".to_owned(),
        Client::Node(node) => node,
        Client::Pod { namespace, name } => {
            let node = node_of_pod(texts.values(), &namespace, &name)?;
            namespace_of_pod = Some(namespace);
            node
        }
    };
    let nodes = engine.index().keys(Kind::Node);
    let is_missing = !nodes.is_empty() && !nodes.iter().any(|key| *key.name.name == *node);
    let node_note = is_missing.then(|| format!("no Node {node} is in the files, so it has no labels"));
    let namespace = namespace.or(namespace_of_pod).unwrap_or_else(|| "default".to_owned());
    Ok(World { engine, folder, node, namespace, notes, node_note })
}

/// Where a Pod runs that stands in one of these texts.
fn node_of_pod<'a>(texts: impl Iterator<Item = &'a String>, namespace: &str, name: &str) -> Result<String> {
    for document in texts.filter_map(|text| yaml::parse(text).ok()).flatten() {
        let pod = document.value;
        let own = pod["metadata"]["namespace"].as_str().unwrap_or("default");
        if pod["kind"] == "Pod" && pod["metadata"]["name"] == name && own == namespace {
            let node = pod["spec"]["nodeName"].as_str();
            return Ok(node.with_context(|| format!("Pod {namespace}/{name} has no spec.nodeName"))?.to_owned());
        }
    }
    bail!("no Pod {namespace}/{name} is in the files; --node names a node")
}
