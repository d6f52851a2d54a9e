//! What the integration tests share: folders of YAML, run through the engine as `axonctl up` does.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;

use axoneme_api::intent::{REDIRECT, Redirect};
use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_operator::file_source::Folder;
use axoneme_operator::local::{Local, Pools};
use axoneme_operator::{Engine, SourceEvent};
use axoneme_xds::Resource;
use prost::Message as _;

pub(crate) fn pools() -> Pools {
    Pools {
        cluster: vec!["10.96.0.0/16".parse().unwrap(), "fd00:96::/112".parse().unwrap()],
        load_balancer: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
        node_ports: 30000..=32767,
    }
}

/// Reads every YAML file of a folder, under names relative to it.
pub(crate) fn read(root: &Path) -> Folder {
    let mut folder = Folder::default();
    let mut files: Vec<_> = Vec::new();
    collect(root, &mut files);
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        folder.update(file.strip_prefix(root).unwrap(), Some(&text));
    }
    folder
}

fn collect(path: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

/// A text as a folder with one file.
pub(crate) fn text(text: &str) -> Folder {
    let mut folder = Folder::default();
    folder.update(Path::new("objects.yaml"), Some(text));
    assert_eq!(folder.problems(), []);
    folder
}

/// An engine and its stand-in for a cluster, with what a folder says.
pub(crate) fn run(folder: &Folder) -> (Engine, Local) {
    let (mut engine, mut local) = (Engine::new(), Local::new(pools()));
    for event in folder.resets() {
        local.drive(&mut engine, event);
    }
    (engine, local)
}

/// The objects of a folder, one event each.
pub(crate) fn applies(folder: &Folder) -> Vec<SourceEvent> {
    let objects = folder.resets().into_iter().flat_map(|reset| match reset {
        SourceEvent::Reset { objects, .. } => objects,
        SourceEvent::Apply(_) | SourceEvent::Delete(_) | SourceEvent::Unreadable(_) => Vec::new(),
    });
    objects.map(SourceEvent::Apply).collect()
}

/// Everything that a node is told, in a form for people.
pub(crate) fn view(engine: &Engine, node: &str) -> String {
    engine.intents().view(node).iter().map(show).collect()
}

fn show(resource: &Resource) -> String {
    let json = match ResourceKind::of(&resource.type_url) {
        Some(kind) => EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap(),
        None => {
            assert_eq!(&*resource.type_url, REDIRECT);
            let redirect = Redirect::decode(resource.body.clone()).unwrap();
            let frontends: Vec<_> =
                redirect.frontends.iter().map(|frontend| frontend.socket_addr().unwrap().to_string()).collect();
            serde_json::json!({
                "frontends": frontends,
                "node_ports": redirect.node_ports,
                "listener": redirect.listener,
                "owner": redirect.owner,
                "has_backends": redirect.has_backends,
            })
        }
    };
    let short = resource.type_url.rsplit('.').next().unwrap();
    format!("# {short} {}\n{}\n", resource.name, serde_json::to_string_pretty(&json).unwrap())
}

/// Everything that is wrong, with file and line.
pub(crate) fn problems(folder: &Folder, engine: &Engine) -> String {
    let mut text = String::new();
    for problem in folder.problems() {
        writeln!(text, "{}: {}", problem.location, problem.message).unwrap();
    }
    for (object, problems) in engine.problems() {
        for problem in problems {
            let location = folder.locate(object, &problem.field).map(|it| it.to_string()).unwrap_or_default();
            let (severity, reason) = (problem.severity, problem.reason.as_str());
            writeln!(text, "{location}: {object}: {severity:?} {reason}: {problem}").unwrap();
        }
    }
    text
}
