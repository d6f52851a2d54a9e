//! `axonctl explain`: who serves a Service or a URL, step by step, and why nobody else does.
//!
//! The objects go through the operator's own engine; what it would tell a node is followed from the redirect to the
//! endpoints, deciding what Envoy would decide. Nothing is asked of a running mesh: `docs/adr/0017-explain-reads-objects.md`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use axoneme_api::intent::{REDIRECT, Redirect};
use axoneme_operator::{ObjectKey, policy_flags::PolicyFlags};
use prost::Message as _;

use crate::output;

mod envoy;
mod others;
mod request;
mod show;
mod story;
mod target;
mod trace;
pub(crate) mod world;

use request::{Header, Request};
use story::{Condition, Passed, Story, Way};
use target::{Reach, Target};
use world::{Client, World, cluster::Access};

/// Tell which object, listener, route, cluster and endpoints serve a Service or a URL, and why not the others.
///
/// Looks at manifests when some are named, and otherwise at the cluster of your kubeconfig, of which it only reads. Exits
/// with 0 when it is served, with 1 when it is not, with 2 when something cannot be read.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// `namespace/service[:port]`, `service.namespace.svc[:port]`, or `http[s]://host[:port]/path`.
    target: Target,
    /// Files and folders of YAML; `-` is standard input. None for the cluster.
    #[arg(value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// As this node sees it.
    #[arg(long, value_name = "NAME", conflicts_with = "pod")]
    node: Option<String>,
    /// As this pod sees it: `namespace/name`.
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
    /// The namespace of names without one.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A header of the request: `Name: value`. Can be given several times.
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<Header>,
    /// The method of the request.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    policy: PolicyFlags,
    /// How to tell it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs; docs/cli.md describes it.
    Json,
}

impl Explain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (client, namespace) = (self.client()?, self.namespace.clone());
        let request = match &self.target {
            Target::Url(url) => Some(Request::new(url, &self.method, &self.header)),
            Target::Service { .. } if !self.header.is_empty() => {
                bail!("a header belongs to a request: ask about a URL")
            }
            Target::Service { .. } => None,
        };
        let world = if self.paths.is_empty() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(world::cluster::read(&self.access, self.policy.given(), client, namespace))?
        } else if self.access.is_given() {
            bail!("--kubeconfig and --context are for a cluster; leave them out to look at files");
        } else {
            world::of_files(&self.paths, self.policy.policy(), client, namespace)?
        };
        let story = explain(&world, &self.target, request.as_ref());
        output::print(&match self.output {
            Output::Text => show::text(&story),
            Output::Json => serde_json::to_string_pretty(&story)? + "\n",
        })?;
        Ok(if story.served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn client(&self) -> Result<Client> {
        match (&self.node, &self.pod) {
            (Some(node), _) => Ok(Client::Node(node.clone())),
            (None, Some(pod)) => match (pod.split_once('/'), &self.namespace) {
                (Some((namespace, name)), _) => {
                    Ok(Client::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
                }
                (None, Some(namespace)) => Ok(Client::Pod { namespace: namespace.clone(), name: pod.clone() }),
                (None, None) => bail!("--pod {pod} has no namespace: write namespace/name, or give --namespace"),
            },
            (None, None) => Ok(Client::Anywhere),
        }
    }
}

/// The story of a Service, with all its routes, or of one request.
fn explain(world: &World, target: &Target, request: Option<&Request>) -> Story {
    let (engine, index) = (&world.engine, world.engine.index());
    let destination = target.destination(index, &world.namespace);
    let view = engine.intents().view(&world.node);
    let (mut ways, mut others) = (Vec::new(), Vec::new());
    for (owner, resource) in view.owned().filter(|(_, it)| *it.type_url == *REDIRECT) {
        let Ok(redirect) = Redirect::decode(resource.body.clone()) else { continue };
        let Some(reach) = destination.reaches(&resource.name, &redirect, index) else { continue };
        let answer = trace::answer(&view, &redirect.listener, request);
        // A name decides between objects that could all be reached by it.
        if let (Reach::ByName, Some(why), []) = (reach, &answer.problem, &answer.routes[..]) {
            others.push(Passed::new(owner.to_string(), why.clone()));
            continue;
        }
        ways.push(Way {
            redirect: resource.name.to_string(),
            addresses: redirect.frontends.iter().filter_map(|it| Some(it.socket_addr()?.to_string())).collect(),
            node_ports: redirect.node_ports,
            object: owner.to_string(),
            place: place(world, owner),
            status: status(world, owner),
            listener: redirect.listener,
            answer,
        });
    }
    let host = match target {
        Target::Url(url) => Some(url.host.as_str()),
        Target::Service { .. } => None,
    };
    let of_ways = |it: &Passed| ways.iter().any(|way| way.object == it.what);
    let more = others::reasons(world, &destination, host).into_iter().filter(|it| !of_ways(it) && !others.contains(it));
    others.extend(more.collect::<Vec<_>>());
    let served = ways.iter().any(|way| way.answer.problem.is_none());
    let verdict = verdict(&ways, || destination.otherwise(index));
    let mut notes = world.notes.clone();
    notes.extend(world.node_note.clone());
    if ways.len() > 1 && destination.service().is_none() {
        notes.push("which of these addresses a client dials is for DNS to say".to_owned());
    }
    Story { target: target.to_string(), node: world.node.clone(), served, verdict, ways, others, notes }
}

fn verdict(ways: &[Way], otherwise: impl FnOnce() -> String) -> String {
    let (good, bad): (Vec<_>, Vec<_>) = ways.iter().partition(|way| way.answer.problem.is_none());
    let mut objects: Vec<_> = good.iter().map(|way| way.object.as_str()).collect();
    objects.dedup();
    match (objects.is_empty(), bad.first()) {
        (false, _) => format!("served by {}", objects.join(", ")),
        (true, Some(way)) => {
            let why = way.answer.problem.as_deref().unwrap_or_default();
            format!("taken by {}, but not served: {why}", way.object)
        }
        (true, None) => format!("not taken by the mesh: {}", otherwise()),
    }
}

fn place(world: &World, object: &ObjectKey) -> Option<String> {
    let at = world.folder.locate(object, "")?;
    Some(format!("{}:{}", at.path.display(), at.position.line))
}

fn status(world: &World, object: &ObjectKey) -> Vec<Condition> {
    let Some(config) = world.engine.index().config(object) else { return Vec::new() };
    let condition = |it: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| Condition {
        type_: it.type_.clone(),
        status: it.status.clone(),
        reason: it.reason.clone(),
        message: it.message.clone(),
        current: it.observed_generation == config.meta.generation,
    };
    config.conditions.iter().map(condition).collect()
}

#[cfg(test)]
mod tests;
