//! Why other objects do not serve what was asked about, though one could expect it of them.

use axoneme_api::{intent::REDIRECT, names};
use axoneme_operator::{
    Kind, Name, ObjectKey, Reason, Severity,
    index::Foreign,
    source::{EnvoyConfig, Ingress, Selector},
};

use super::{story::Passed, target::Destination, world::World};

/// Of the problems of one object, so many are told.
const TOLD: usize = 5;

/// Every reason, by object. `host` is the host of a URL. Costs all objects.
pub(super) fn reasons(world: &World, destination: &Destination, host: Option<&str>) -> Vec<Passed> {
    let index = world.engine.index();
    let of_object = |owner: ObjectKey| -> Vec<Passed> {
        let reasons = match (index.config(&owner), index.ingress(&owner.name)) {
            (Some(config), _) => of_config(world, destination, &owner, config),
            (None, Some(ingress)) => of_ingress(world, destination, host, &owner, ingress),
            (None, None) => Vec::new(),
        };
        reasons.into_iter().map(|why| Passed::new(owner.to_string(), why)).collect()
    };
    let of_stranger = |(name, stranger): (&Name, &Foreign)| -> Option<Passed> {
        let ingress = stranger.unpack().ok().filter(|ingress| is_asked(destination, host, ingress))?;
        let key = ObjectKey { kind: Kind::Ingress, name: name.clone() };
        Some(Passed::new(key.to_string(), whose(world, &ingress)))
    };
    let ours = index.owners().flat_map(of_object);
    let mut all: Vec<_> = ours.chain(index.foreigners().filter_map(of_stranger)).collect();
    // As `owners` has them: Ingresses by name, then Envoy configs.
    all.sort_by_cached_key(
        |it| if it.what.starts_with("Ingress ") { (0, it.what.clone()) } else { (1, String::new()) },
    );
    all
}

fn of_config(world: &World, destination: &Destination, owner: &ObjectKey, config: &EnvoyConfig) -> Vec<String> {
    let Destination::Service(service, port) = destination else { return Vec::new() };
    let name = |namespace: Option<&str>, name: &str| Name::new(namespace.unwrap_or(config.default_namespace()), name);
    let mut entries =
        config.services.iter().filter(|it| name(it.namespace.as_deref(), &it.name) == *service).peekable();
    if entries.peek().is_none() {
        return Vec::new();
    }
    let (mut ports, mut lists_all) = (Vec::new(), false);
    for entry in entries {
        lists_all |= entry.ports.is_empty();
        ports.extend(&entry.ports);
    }
    if let Some(why) = config.node_selector.as_ref().and_then(|selector| not_selected(world, selector)) {
        return vec![why];
    }
    let refusals = errors(world, owner, false);
    if !refusals.is_empty() {
        let by_operator =
            config.conditions.iter().find(|it| it.type_ == "Programmed" && it.reason == "LastGoodVersion");
        let stays = by_operator.map(|_| "the operator keeps its last good version in force, which cannot be seen here");
        let refusals = refusals.into_iter().map(|why| format!("it is refused: {why}"));
        return refusals.chain(stays.map(str::to_owned)).collect();
    }
    if let Some(port) = port.filter(|port| !lists_all && !ports.contains(&port)) {
        let listed = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return vec![format!("its spec.services lists {service} with ports {listed} only, not {port}")];
    }
    let lost = lost(world, service, *port, owner);
    if lost.is_empty() { errors(world, owner, true) } else { lost }
}

/// Ports of the Service that older objects have.
fn lost(world: &World, service: &Name, port: Option<u16>, owner: &ObjectKey) -> Vec<String> {
    let intents = world.engine.intents();
    let view = intents.view(&world.node);
    let here = view.owned().filter(|(winner, it)| *it.type_url == *REDIRECT && *winner != owner);
    let here = here.filter(|(_, it)| {
        let (name, own_port) = it.name.rsplit_once(':').unwrap_or_default();
        name == service.to_string() && port.is_none_or(|port| own_port == port.to_string())
    });
    let wanted = here.filter(|(_, it)| intents.owners(REDIRECT, &it.name).any(|other| other == owner));
    wanted.map(|(winner, it)| format!("{winner} is older and has {} already", it.name)).collect()
}

fn of_ingress(
    world: &World,
    destination: &Destination,
    host: Option<&str>,
    owner: &ObjectKey,
    ingress: &Ingress,
) -> Vec<String> {
    if !is_asked(destination, host, ingress) {
        return Vec::new();
    }
    let mut reasons = [errors(world, owner, false), errors(world, owner, true)].concat();
    let own = own_service(ingress);
    if world.engine.index().service(&own).is_none_or(|service| service.addresses().is_empty()) {
        reasons.push(format!("its Service {own} has no address yet"));
    }
    reasons
}

fn own_service(ingress: &Ingress) -> Name {
    Name::new(&ingress.meta.name.namespace, &names::ingress_service(&ingress.meta.name.name))
}

/// Whether one could expect an Ingress to serve what was asked about.
fn is_asked(destination: &Destination, host: Option<&str>, ingress: &Ingress) -> bool {
    match destination {
        Destination::Service(service, _) => *service == own_service(ingress),
        Destination::Name(..) => ingress.rules.iter().any(|rule| names_host(rule.host.as_deref(), host)),
        Destination::Address(_) => false,
    }
}

/// Why an Ingress is not the mesh's.
fn whose(world: &World, ingress: &Ingress) -> String {
    let class = ingress.legacy_class.as_deref().or(ingress.class.as_deref()).filter(|class| !class.is_empty());
    match class {
        Some(class) if world.engine.index().class_named(&Name::new("", class)).is_none() => {
            format!("there is no IngressClass {class}")
        }
        Some(class) => format!("its class {class:?} is not one of the mesh"),
        None => "it has no class, and the default class is not one of the mesh".to_owned(),
    }
}

/// Whether a rule is for this very host, by name or by wildcard. One for every host is not.
fn names_host(rule: Option<&str>, asked: Option<&str>) -> bool {
    let (Some(rule), Some(asked)) = (rule, asked) else { return false };
    match rule.strip_prefix("*.") {
        Some(rest) => asked.split_once('.').is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(rest)),
        None => rule.eq_ignore_ascii_case(asked),
    }
}

/// Errors of an object: those of the object itself, or those about what it names.
fn errors(world: &World, owner: &ObjectKey, about_references: bool) -> Vec<String> {
    let problems = world.engine.problems().get(owner).into_iter().flatten();
    let errors = problems.filter(|it| it.severity == Severity::Error && it.reason != Reason::Conflict);
    let mut texts: Vec<_> =
        errors.filter(|it| it.reason.is_reference() == about_references).map(ToString::to_string).collect();
    let more = texts.len().saturating_sub(TOLD);
    texts.truncate(TOLD);
    if more > 0 {
        texts.push(format!("and {more} more problems; `axonctl validate` tells all"));
    }
    texts
}

fn not_selected(world: &World, selector: &Selector) -> Option<String> {
    let node = world.engine.index().node(&Name::new("", &world.node));
    let labels = node.map(|node| node.labels.clone()).unwrap_or_default();
    if selector.matches(&labels) {
        return None;
    }
    let is =
        |key: &str| labels.get(key).map_or_else(|| format!("has no label {key}"), |value| format!("has {key}={value}"));
    let label = selector.labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
    let one = |requirement: &(String, String, Vec<String>)| {
        let alone = Selector { expressions: vec![requirement.clone()], ..Selector::default() };
        !alone.matches(&labels)
    };
    let why = match (label, selector.expressions.iter().find(|it| one(it))) {
        (Some((key, value)), _) => format!("wants {key}={value}, and node {} {}", world.node, is(key)),
        (None, Some((key, operator, values))) => {
            format!("wants {key} {operator} [{}], and node {} {}", values.join(", "), world.node, is(key))
        }
        (None, None) => "selects no node".to_owned(),
    };
    Some(format!("it is not for this node: its nodeSelector {why}"))
}
