//! `axonctl render`: what manifests become.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use axoneme_api::{intent::REDIRECT, names};
use axoneme_envoy::{Capability, ResourceKind};
use axoneme_operator::{Engine, Kind, ObjectKey, translate::EndpointsName};
use axoneme_xds::Resource;
use serde_json::{Value, json};

use crate::{
    input::{self, Input},
    output,
};

/// Show what manifests become: Envoy's resources and the redirects of each object, as YAML. Private keys are left out.
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
    /// What Envoy configs may make Envoy do beyond handling traffic, as the operator has it.
    #[arg(long, env = "AXONEME_ALLOW_EXTENSIONS", value_delimiter = ',', value_name = "WORD")]
    allow_extensions: Vec<Capability>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// What nodes are told, by object.
    Resources,
    /// The CiliumEnvoyConfig that would do the same as each Ingress.
    Config,
}

/// What nodes are told, by owner.
type Owned<'a> = BTreeMap<&'a ObjectKey, Vec<&'a Resource>>;

impl Render {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let input = Input::read(&self.paths, self.allow_extensions.iter().copied().collect())?;
        let owned = owned(&input.engine, self.node.as_deref());
        let documents: Vec<Value> = match self.form {
            Form::Resources => owned.iter().map(|(object, resources)| shown(object, resources)).collect(),
            Form::Config => {
                let ingresses = owned.iter().filter(|(object, _)| object.kind == Kind::Ingress);
                ingresses.map(|(object, resources)| config(object, resources)).collect()
            }
        };
        for document in documents {
            output::print(&format!("---\n{}", serde_yaml::to_string(&document).context("cannot write YAML")?))?;
        }
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

/// The equivalent of an Ingress. Names lose the part that they get again from the object's own name.
fn config(ingress: &ObjectKey, resources: &[&Resource]) -> Value {
    let origin = names::ingress_origin(&ingress.name.namespace, &ingress.name.name);
    let (redirects, resources): (Vec<_>, Vec<_>) =
        resources.iter().map(|it| (&*it.type_url, input::show(it))).partition(|(type_url, _)| *type_url == REDIRECT);
    let mut services: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for (_, redirect) in &redirects {
        let text = |field: &str| redirect[field].as_str().unwrap_or_default().to_owned();
        let Some((service, port)) =
            text("service").rsplit_once(':').map(|(service, port)| (service.to_owned(), port.parse::<u64>()))
        else {
            continue;
        };
        services.entry((service, text("listener"))).or_default().extend(port);
    }
    let of = |service: &str| service.rsplit('/').next().unwrap_or_default().to_owned();
    let services = services.into_iter().map(|((service, listener), ports)| {
        json!({ "name": of(&service), "namespace": &*ingress.name.namespace, "listener": of(&listener), "ports": ports })
    });
    let clusters = resources.iter().filter(|(type_url, _)| *type_url == ResourceKind::Cluster.type_url());
    let endpoints =
        clusters.filter_map(|(_, it)| EndpointsName::parse(it["eds_cluster_config"]["service_name"].as_str()?));
    let backends: Vec<_> = endpoints
        .map(|it| json!({ "name": &*it.service.name, "namespace": &*it.service.namespace, "number": [it.port()] }))
        .collect();
    let (namespace, name) = origin.split_once('/').unwrap_or_default();
    let mut config = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEnvoyConfig",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "services": services.collect::<Vec<_>>(),
            "backendServices": backends,
            "resources": resources.iter().map(|(_, it)| it.clone()).collect::<Vec<_>>(),
        },
    });
    strip(&mut config, &format!("{origin}/"));
    config
}

fn strip(json: &mut Value, prefix: &str) {
    match json {
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(prefix) {
                *text = rest.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, prefix)),
        Value::Object(fields) => fields.values_mut().for_each(|field| strip(field, prefix)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
