//! `axonctl explain`: who serves a Service or a URL, step by step, and why nobody else does.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use axoneme_api::intent::REDIRECT;
use axoneme_envoy::{Capability, ResourceKind};
use axoneme_operator::Reason;
use axoneme_xds::View as _;
use serde_json::Value;

use crate::{
    input::{self, Input},
    output,
};

mod routes;
mod target;

use target::Target;

/// Tell which object, listener, route, cluster and endpoints serve a Service or a URL, and why not the others.
///
/// Looks at manifests, not at a running mesh. Exits with 0 when the mesh serves it, 1 when it does not.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// `namespace/service`, `namespace/service:port`, or `http://host[:port]/path`.
    target: Target,
    /// Files and folders of YAML; `-` is standard input.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// As this node sees it.
    #[arg(long, default_value = "local", value_name = "NAME")]
    node: String,
    /// What Envoy configs may make Envoy do beyond handling traffic, as the operator has it.
    #[arg(long, env = "AXONEME_ALLOW_EXTENSIONS", value_delimiter = ',', value_name = "WORD")]
    allow_extensions: Vec<Capability>,
}

impl Explain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let input = Input::read(&self.paths, self.allow_extensions.iter().copied().collect())?;
        let (served, lines) = explain(&input, &self.node, &self.target);
        output::print(&(lines.join("\n") + "\n"))?;
        Ok(if served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether the mesh serves it, and the story.
fn explain(input: &Input, node: &str, target: &Target) -> (bool, Vec<String>) {
    let (engine, view) = (&input.engine, input.engine.intents().view(node));
    let (mut lines, mut served, mut passed) = (Vec::new(), false, Vec::new());
    for (owner, resource) in view.owned().filter(|(_, it)| *it.type_url == *REDIRECT) {
        let redirect = input::show(resource);
        let Some(reached) = target.reaches(&redirect) else { continue };
        let listener = redirect["listener"].as_str().unwrap_or_default();
        let json = view.get(ResourceKind::Listener.type_url(), listener).map(|it| input::show(&it)).unwrap_or_default();
        let found = routes::of_listener(&view, &json, target);
        // A URL's host decides between objects that could all be reached.
        if found.is_empty() && target.is_url() {
            passed.push(format!("not {owner}: no route of {listener} matches the URL"));
            continue;
        }
        served = true;
        lines.push(format!("{} at {reached}", resource.name));
        lines.push(format!("  object    {owner}{}", place(input, owner)));
        lines.push(format!("  listener  {listener}"));
        lines.extend(found);
        let rivals = engine.intents().owners(REDIRECT, &resource.name).filter(|rival| *rival != owner);
        passed.extend(rivals.map(|rival| format!("not {rival}: {owner} has {} already, and is older", resource.name)));
    }
    for (object, problems) in engine.problems() {
        let about = problems.iter().filter(|it| it.reason != Reason::Conflict && target.is_named_in(&it.message));
        passed.extend(about.map(|problem| format!("not {object}: {problem}")));
    }
    if !served {
        lines.push(format!("the mesh does not serve {target} on node {node}: {}", target.otherwise(engine)));
    }
    lines.extend(passed);
    (served, lines)
}

fn place(input: &Input, object: &axoneme_operator::ObjectKey) -> String {
    let location = input.folder.locate(object, "");
    location.map_or_else(String::new, |it| format!(", {}:{}", it.path.display(), it.position.line))
}

/// Every value under this key, at any depth.
fn under<'a>(json: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == key {
                    found.push(field);
                }
                under(field, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(item, key, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
