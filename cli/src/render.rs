//! `axonctl render`: what manifests become.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use axoneme_api::intent::REDIRECT;
use axoneme_operator::{Engine, Kind, ObjectKey, policy_flags::PolicyFlags};
use axoneme_xds::Resource;
use serde_json::{Value, json};

use crate::{
    input::{self, Input},
    output,
};

mod config;

/// Show what manifests become: Envoy's resources and the redirects of each object. Secret values are left out.
///
/// Services without an address get one as `axonctl up` gives it. Exits with 2 when a file cannot be read; what is wrong in
/// the files is for `axonctl validate` to say, and becomes nothing here.
#[derive(clap::Args)]
pub(crate) struct Render {
    /// Files and folders of YAML; `-` is standard input.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Only what this node gets. Node objects among the files have the labels that nodeSelectors see.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// What to show.
    #[arg(short, long, value_enum, default_value_t = Form::Resources)]
    form: Form,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
    #[command(flatten)]
    policy: PolicyFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// What nodes are told, by object.
    Resources,
    /// The CiliumEnvoyConfig that would do the same as each Ingress.
    Config,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A document each.
    Yaml,
    /// One list; with `--form config` one that `kubectl apply` takes.
    Json,
}

/// What nodes are told, by owner.
type Owned<'a> = BTreeMap<&'a ObjectKey, Vec<&'a Resource>>;

impl Render {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let input = Input::read(&self.paths, self.policy.policy())?;
        let owned = owned(&input.engine, self.node.as_deref());
        let documents: Vec<Value> = match self.form {
            Form::Resources => owned.iter().map(|(object, resources)| shown(object, resources)).collect(),
            Form::Config => {
                let ingresses = owned.iter().filter(|(object, _)| object.kind == Kind::Ingress);
                ingresses.map(|(object, resources)| config::equivalent(object, resources)).collect()
            }
        };
        let text = match (self.output, self.form) {
            (Output::Json, Form::Resources) => serde_json::to_string_pretty(&documents)? + "\n",
            (Output::Json, Form::Config) => {
                serde_json::to_string_pretty(&json!({ "apiVersion": "v1", "kind": "List", "items": documents }))? + "\n"
            }
            (Output::Yaml, _) => {
                let yaml = |it: &Value| Ok(format!("---\n{}", serde_yaml::to_string(it).context("cannot write YAML")?));
                documents.iter().map(yaml).collect::<Result<String>>()?
            }
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn owned<'a>(engine: &'a Engine, node: Option<&'a str>) -> Owned<'a> {
    let mut owned = Owned::new();
    let mut put = |(object, resource)| owned.entry(object).or_default().push(resource);
    match node {
        Some(node) => engine.intents().view(node).owned().for_each(&mut put),
        None => engine.intents().oldest().for_each(&mut put),
    }
    owned
}

fn shown(object: &ObjectKey, resources: &[&Resource]) -> Value {
    let (redirects, resources): (Vec<_>, Vec<_>) = resources.iter().partition(|it| *it.type_url == *REDIRECT);
    let show = |all: Vec<&&Resource>| all.into_iter().map(|it| input::show(it)).collect::<Vec<_>>();
    let mut document = json!({ "object": object.to_string(), "resources": show(resources) });
    if !redirects.is_empty() {
        document["redirects"] = show(redirects).into();
    }
    document
}

#[cfg(test)]
mod tests;
