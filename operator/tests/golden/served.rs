//! What an Ingress serves, as somebody who wrote it reads it: hosts, paths in the order in which they are tried, who answers,
//! certificates, and what its Service is.

use std::fmt::Write as _;
use std::time::Duration;

use axoneme_api::names;
use axoneme_operator::Name;
use axoneme_operator::model::{Action, HttpModel, PathMatch, RedirectCode, Route, VirtualHost, ingest};
use axoneme_operator::source::ServiceType;

use crate::completed::Completed;

/// The whole text.
pub(crate) fn served(world: &Completed) -> String {
    let (model, _) = ingest(world.ingress(), world.engine.index(), &world.defaults);
    let mut text = world.problems();
    text.push_str(&service(world));
    text.push_str(&limits(&model));
    for (host, it) in &model.hosts {
        let pattern = host.pattern();
        writeln!(text, "\n{pattern}{}", plain(it)).unwrap();
        it.routes.iter().for_each(|route| text.push_str(&path(route)));
    }
    if !model.certificates.is_empty() || !model.passthrough.is_empty() {
        text.push_str("\nTLS\n");
    }
    for (host, secret) in &model.certificates {
        writeln!(text, "  {:<44} {secret}", host.pattern()).unwrap();
    }
    for (host, target) in &model.passthrough {
        let to = target.as_ref().map_or_else(|| "nowhere".to_owned(), |it| format!("{}:{}", it.service.name, it.port));
        writeln!(text, "  {:<44} passed through to {to}", host.pattern()).unwrap();
    }
    text
}

fn service(world: &Completed) -> String {
    let ingress = &world.ingress().meta.name;
    let name = Name::new(&ingress.namespace, &names::ingress_service(&ingress.name));
    let Some(service) = world.engine.index().service(&name) else { return "no Service\n".to_owned() };
    // The node ports of a load balancer are nobody's wish.
    let asked = |port: Option<u16>| port.filter(|_| service.type_ == ServiceType::NodePort);
    let port = |it: &axoneme_operator::source::ServicePort| {
        let node_port = asked(it.node_port).map_or_else(String::new, |port| format!(" on {port} of each node"));
        format!("{} {}{node_port}", it.name, it.port)
    };
    let ports: Vec<_> = service.ports.iter().map(port).collect();
    format!("Service {}: {}, {}\n", service.meta.name, service.type_, ports.join(", "))
}

fn limits(model: &HttpModel) -> String {
    let told = |limit: Duration| if limit.is_zero() { "no limit".to_owned() } else { format!("{limit:?}") };
    format!("a request takes: {}; is silent for: {}\n", told(model.limits.request), told(model.limits.idle))
}

fn plain(host: &VirtualHost) -> &'static str {
    match host.https_only {
        None => "",
        Some(RedirectCode::PermanentRedirect) => ", without TLS: 308 to https",
        Some(RedirectCode::MovedPermanently) => ", without TLS: 301 to https",
    }
}

fn path(route: &Route) -> String {
    let matcher = match &route.matcher {
        PathMatch::Exact(path) => format!("= {path}"),
        PathMatch::Regex(regex) => format!("~ {regex}"),
        PathMatch::Prefix(path) => format!("  {path}"),
    };
    let action = match &route.action {
        Action::Forward(backend) => format!("{}:{}", backend.service.name, backend.port),
        Action::Unavailable => "503".to_owned(),
    };
    format!("  {matcher:<44} {action}\n")
}
