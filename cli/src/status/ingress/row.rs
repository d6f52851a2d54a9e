//! What is told of one Ingress, as the operator's engine sees it.

use axoneme_api::names;
use axoneme_operator::{
    Engine, Kind, Name, ObjectKey, Problem, Severity,
    index::Held,
    model::{IngressDefaults, options::Mode},
    source::{Ingress, Tls},
};
use serde::{Serialize, Serializer};

use super::events::Event;

/// One Ingress of ours.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The class that it belongs to.
    pub(super) class: String,
    /// `dedicated`, `shared` or `host-network`.
    pub(super) mode: &'static str,
    /// `*` is every host.
    pub(super) hosts: Vec<String>,
    /// Where clients find it.
    pub(super) addresses: Vec<String>,
    pub(super) tls: Vec<Certificate>,
    pub(super) problems: Vec<Told>,
    /// What was told of it lately, when it was asked for by name.
    pub(super) events: Vec<Event>,
    #[serde(skip)]
    pub(super) uid: Option<String>,
}

/// One of `spec.tls`.
#[derive(Serialize)]
pub(super) struct Certificate {
    pub(super) hosts: Vec<String>,
    /// `namespace/name`; none when none is named and there is no default.
    pub(super) secret: Option<String>,
    /// Whether there is a certificate that can be shown.
    pub(super) usable: bool,
    /// What is wrong with it.
    pub(super) why: Option<String>,
}

/// A problem.
#[derive(Serialize)]
pub(super) struct Told {
    #[serde(serialize_with = "severity")]
    pub(super) severity: Severity,
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

/// Every Ingress of ours, by namespace and name.
pub(super) fn all(engine: &Engine) -> Vec<Row> {
    let ingresses = engine.index().owners().filter(|owner| owner.kind == Kind::Ingress);
    ingresses.filter_map(|owner| Some(row(engine, &owner, engine.index().ingress(&owner.name)?))).collect()
}

/// Why an Ingress is not among them.
pub(super) fn why_not(engine: &Engine, namespace: &str, name: &str) -> String {
    match engine.index().foreign(&Name::new(namespace, name)) {
        Some(foreign) if foreign.class.is_empty() => {
            format!("Ingress {namespace}/{name} has no class, and the default class is not one of the mesh")
        }
        Some(foreign) => {
            format!("the class of Ingress {namespace}/{name}, {:?}, is not one of the mesh", foreign.class)
        }
        None => format!("there is no Ingress {namespace}/{name}"),
    }
}

fn row(engine: &Engine, owner: &ObjectKey, ingress: &Ingress) -> Row {
    let index = engine.index();
    let defaults = index.defaults(ingress, engine.defaults());
    let problems = engine.problems().get(owner).into_iter().flatten();
    Row {
        namespace: owner.name.namespace.to_string(),
        name: owner.name.name.to_string(),
        class: index.class(ingress).map(|class| class.meta.name.name.to_string()).unwrap_or_default(),
        mode: match Mode::of(ingress, &defaults) {
            _ if defaults.host_network.is_some() => "host-network",
            Mode::Dedicated => "dedicated",
            Mode::Shared => "shared",
        },
        hosts: hosts(ingress),
        addresses: addresses(engine, ingress, &defaults),
        tls: ingress.tls.iter().map(|tls| certificate(engine, ingress, tls, &defaults)).collect(),
        problems: problems.map(told).collect(),
        events: Vec::new(),
        uid: ingress.meta.uid.clone(),
    }
}

/// In the order of the rules. The default backend answers for every host.
fn hosts(ingress: &Ingress) -> Vec<String> {
    let ruled = ingress.rules.iter().map(|rule| rule.host.as_deref().unwrap_or("*"));
    let mut hosts: Vec<String> = Vec::new();
    for host in ruled.chain(ingress.default_backend.is_some().then_some("*")) {
        if !hosts.iter().any(|known| known == host) {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

/// Those of its status. Manifests have none: there they are those that its Service was given.
fn addresses(engine: &Engine, ingress: &Ingress, defaults: &IngressDefaults) -> Vec<String> {
    if !ingress.load_balancer.is_empty() {
        return ingress.load_balancer.iter().map(ToString::to_string).collect();
    }
    let own = Name::new(&ingress.meta.name.namespace, &names::ingress_service(&ingress.meta.name.name));
    let service = match Mode::of(ingress, defaults) {
        Mode::Dedicated => engine.index().service(&own),
        Mode::Shared => engine.index().service(&defaults.shared_service),
    };
    service.into_iter().flat_map(|service| &service.load_balancer).map(ToString::to_string).collect()
}

fn certificate(engine: &Engine, ingress: &Ingress, tls: &Tls, defaults: &IngressDefaults) -> Certificate {
    let own = tls.secret.as_deref().filter(|name| !name.is_empty());
    let name = own.map(|name| Name::new(&ingress.meta.name.namespace, name)).or_else(|| defaults.secret.clone());
    let held = name.as_ref().and_then(|name| engine.index().secret(name));
    let why = match (&name, held) {
        (None, _) => Some("no Secret is named and there is no default one".to_owned()),
        (Some(_), None) => Some("does not exist".to_owned()),
        (Some(_), Some(held)) => held.wrong().map(str::to_owned),
    };
    Certificate {
        hosts: tls.hosts.clone(),
        secret: name.map(|name| name.to_string()),
        usable: held.and_then(Held::in_force).is_some(),
        why,
    }
}

fn told(problem: &Problem) -> Told {
    Told {
        severity: problem.severity,
        reason: problem.reason.as_str(),
        field: problem.field.clone(),
        message: problem.message.clone(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn severity<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    })
}
