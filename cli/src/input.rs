//! Manifests from files and folders, run through the operator's engine as `axonctl up` would.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use axoneme_api::intent::{REDIRECT, Redirect};
use axoneme_envoy::{EnvoyResource, Policy, ResourceKind};
use axoneme_operator::{
    Engine,
    file_source::{self, Folder},
    local::{Local, Network, Pools},
};
use axoneme_xds::Resource;
use prost::Message as _;
use serde_json::{Value, json};

/// Where Services without a cluster IP get one, unless told otherwise.
pub(crate) const SERVICE_POOL: &str = "198.18.0.0/17,fd00:198:18::/112";
/// Where load balancer addresses come from, unless told otherwise.
pub(crate) const LB_POOL: &str = "198.18.128.0/17,fd00:198:18:1::/112";

/// What was read, and what it amounts to.
pub(crate) struct Input {
    pub engine: Engine,
    pub folder: Folder,
    /// The files' texts, by name.
    pub texts: BTreeMap<String, String>,
}

impl Input {
    /// Reads files, folders with their subfolders, and `-` for standard input. Addresses come from the pools of `up`.
    pub(crate) fn read(paths: &[PathBuf], policy: Policy) -> Result<Self> {
        let network = |text: &str| text.split(',').filter_map(|it| it.parse::<Network>().ok()).collect();
        let (cluster, load_balancer) = (network(SERVICE_POOL), network(LB_POOL));
        let pools = Pools { cluster, load_balancer, node_ports: 30_000..=32_767 };
        let (mut folder, mut texts) = (Folder::default(), BTreeMap::new());
        for path in paths {
            for file in files(path)? {
                let stdin = file == Path::new("-");
                let text =
                    if stdin { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(&file) };
                let text = text.with_context(|| format!("cannot read {}", file.display()))?;
                folder.update(&file, Some(&text));
                texts.insert(file.display().to_string(), text);
            }
        }
        let (mut engine, mut local) = (Engine::under(policy), Local::new(pools));
        for reset in folder.resets() {
            local.drive(&mut engine, reset);
        }
        Ok(Self { engine, folder, texts })
    }
}

/// A file that is named is read whatever it is called; in a folder, those that look like YAML.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if path.is_dir() {
        file_source::list(path, &mut files).with_context(|| format!("cannot read {}", path.display()))?;
    } else {
        files.push(path.to_owned());
    }
    Ok(files)
}

/// A resource for people, without its secrets. `null` for what nobody can read.
pub(crate) fn show(resource: &Resource) -> Value {
    if let Some(kind) = ResourceKind::of(&resource.type_url) {
        let decoded = EnvoyResource::from_bytes(kind, &resource.body);
        return decoded.and_then(|it| it.redacted().to_json().ok()).unwrap_or_default();
    }
    match Redirect::decode(resource.body.clone()) {
        Ok(redirect) if *resource.type_url == *REDIRECT => {
            let addresses = redirect.frontends.iter().filter_map(|frontend| frontend.socket_addr());
            json!({
                "service": &*resource.name,
                "addresses": addresses.map(|address| address.to_string()).collect::<Vec<_>>(),
                "node_ports": redirect.node_ports,
                "listener": redirect.listener,
            })
        }
        _ => Value::Null,
    }
}
